"""The training sample depends on the documents, not on where they lie, and loses no text."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras.errors import UserError
from llm_keras.tokenizers import sample

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.lists(texts), st.integers(1, 50))
def test_chunks_joined_are_the_text(documents, characters):
    joined = "".join(sample.chunks(documents, characters))
    assert joined == "".join(documents).replace(sample.UNKNOWN_SIGN, "")
    assert all(0 < len(chunk) <= characters for chunk in sample.chunks(documents, characters))


def test_words_are_cut_only_where_there_is_no_space():
    chunks = list(sample.chunks(["one two three " + "x" * 12], characters=8))
    assert chunks == ["one two", " three", " xxxxxxx", "xxxxx"]


@given(st.dictionaries(st.text(max_size=8), texts, max_size=20), st.integers(1, 400))
def test_a_sample_ignores_the_order_and_ends_where_it_should(documents, size):
    """An independent way to say it: sort by hash, join, cut."""
    taken = sample.take(documents.items(), size)
    assert taken == sample.take(reversed(documents.items()), size)
    ordered = [documents[name].encode() for name in sorted(documents, key=sample._hash)]
    expected = b"".join(ordered)[:size]
    assert "".join(taken.texts).encode() in (expected, expected[:-1], expected[:-2], expected[:-3])
    assert taken.size_bytes <= size


def test_a_sample_grows_with_its_size_and_keeps_what_it_had():
    documents = [(f"letters:{n}", f"text number {n} ") for n in range(100)]
    small, large = sample.take(documents, 200), sample.take(documents, 1000)
    assert "".join(large.texts).startswith("".join(small.texts))
    assert (small.size_bytes, large.size_bytes) == (200, 1000)


def test_no_curated_documents_name_the_folder_and_the_stage(tmp_path):
    with pytest.raises(UserError, match="no curated documents; run `llm-keras curate` first"):
        list(sample.read_texts(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "not gzip", "not JSON", "no text"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "train-00000-of-00001.jsonl.gz"
    good = gzip.compress(b'{"id": "a", "text": "secret"}\n' * 1000)
    path.write_bytes(
        {
            "cut": good[: len(good) // 2],
            "not gzip": b"secret",
            "not JSON": gzip.compress(b"secret\n"),
            "no text": gzip.compress(b'{"id": "a"}\n'),
        }[damage]
    )
    with pytest.raises(UserError) as caught:
        list(sample.read_texts(tmp_path))
    assert str(path) in str(caught.value)
    assert "run `llm-keras curate` again" in str(caught.value)
    assert "secret" not in str(caught.value)
