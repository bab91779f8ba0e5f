"""Identity, split and files of documents."""

import gzip
import hashlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data import document
from llm_keras.data.document import Document, unify_newlines


def test_id_is_the_hash_of_source_place_and_content():
    expected = hashlib.sha256(b"books\x00moby/1.txt\x00Call me Ishmael.").hexdigest()[:24]
    assert document.document_id("books", "moby/1.txt", "Call me Ishmael.") == f"books:{expected}"


@pytest.mark.parametrize("changed", [("b", "x", "t"), ("a", "y", "t"), ("a", "x", "u")])
def test_id_changes_with_each_of_its_parts(changed):
    assert document.document_id(*changed) != document.document_id("a", "x", "t")


@given(st.text())
def test_unify_newlines_leaves_only_line_feeds_and_nothing_else_changed(text):
    """The oracle is Python's universal newlines."""
    expected = io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogatepass")), newline=None)
    expected.reconfigure(encoding="utf-8", errors="surrogatepass")
    assert unify_newlines(text) == expected.read()


def test_split_holds_out_the_fraction_asked_for():
    held_out = sum(document.split(f"s:{i}", 0, 0.05) == "validation" for i in range(20_000))
    assert abs(held_out - 1_000) < 5 * (20_000 * 0.05 * 0.95) ** 0.5  # five standard deviations


def test_a_larger_fraction_only_moves_documents_out_of_training():
    for i in range(1_000):
        if document.split(f"s:{i}", 3, 0.1) == "validation":
            assert document.split(f"s:{i}", 3, 0.2) == "validation"


def test_a_test_split_takes_from_training_alone():
    for i in range(2_000):
        before = document.split(f"s:{i}", 3, 0.2)
        assert document.split(f"s:{i}", 3, 0.2, 0.0) == before
        small = document.split(f"s:{i}", 3, 0.2, 0.1)
        large = document.split(f"s:{i}", 3, 0.2, 0.3)
        assert small == before or (before, small) == ("train", "test")
        assert large == small or (small, large) == ("train", "test")


def test_a_test_split_holds_out_the_fraction_asked_for():
    held_out = sum(document.split(f"s:{i}", 0, 0.05, 0.1) == "test" for i in range(20_000))
    assert abs(held_out - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5  # five standard deviations


@pytest.mark.parametrize(
    ("subset", "test_fraction", "allowed"),
    [
        ("Ruth", 0.5, {"validation"}),
        ("Joel", 0.5, {"train", "test"}),
        ("Joel", 0.0, {"train"}),
        (None, 0.0, {"train"}),
    ],
)
def test_of_subsets_held_out_whole_nothing_is_tested(subset, test_fraction, allowed):
    corpus = config.Corpus(validation_subsets=("Ruth",), test_fraction=test_fraction)
    found = {
        document.split_of(Document(id=f"s:{i}", text="", source="s", subset=subset), corpus, seed=0)
        for i in range(100)
    }
    assert found == allowed
    assert document.splits_of(corpus) == document.SPLITS[: 3 if test_fraction else 2]


def test_another_seed_holds_out_other_documents():
    first, second = ([document.split(f"s:{i}", seed, 0.5) for i in range(64)] for seed in (0, 1))
    assert first != second


documents = st.builds(
    Document,
    id=st.text(st.characters(codec="utf-8"), min_size=1),
    text=st.text(st.characters(codec="utf-8")),
    source=st.just("s"),
    language=st.none() | st.just("en"),
    url=st.none() | st.text(st.characters(codec="utf-8")),
)


@given(st.lists(documents, max_size=5))
def test_documents_written_are_documents_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("documents") / "train-00000-of-00001.jsonl.gz"
    with path.open("wb") as file:
        assert document.write_json_lines(file, (row.as_dict() for row in rows)) == len(rows)
    assert list(document.read_documents(path)) == rows


def test_a_written_file_is_plain_gzip_without_time_or_name(tmp_path):
    path = tmp_path / "named.jsonl.gz"
    with path.open("wb") as file:
        document.write_json_lines(file, [{"text": "naïve\u2028line"}])
    data = path.read_bytes()
    assert data[3:8] == bytes(5)  # RFC 1952: no flags (so no name), modification time 0
    lines = gzip.decompress(data).decode().split("\n")
    assert json.loads(lines[0]) == {"text": "naïve\u2028line"}
    assert lines[1:] == [""]


def test_document_files_are_those_of_one_split_in_order(tmp_path):
    for name in ("train-00001", "train-00000", "validation-00000"):
        (tmp_path / f"{name}-of-00002.jsonl.gz").touch()
    found = [path.name for path in document.document_files(tmp_path, "train")]
    assert found == ["train-00000-of-00002.jsonl.gz", "train-00001-of-00002.jsonl.gz"]
