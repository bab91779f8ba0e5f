"""Corpora that the curate stage refuses; each leaves what an earlier curation made, and no more."""

import pytest

from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from pipelines import outcome, parts
from pipelines.curate import curate


@pytest.fixture(scope="module")
def earlier(make_run, letters, tmp_path_factory):
    """A run folder with a complete curation."""
    folder = RunFolder(tmp_path_factory.mktemp("earlier"))
    curate(make_run(letters), folder)
    return folder


@pytest.fixture
def refused(earlier, hashes):
    """Curates and gives the message; proves that the earlier result is as it was."""

    def run(settings, error=UserError):
        before = hashes(earlier)
        assert before
        with pytest.raises(error) as caught:
            curate(settings, earlier)
        assert hashes(earlier) == before
        assert not (earlier.corpus / ".curating").exists()
        message = str(caught.value)
        assert "\n" not in message
        return message

    return run


def test_a_missing_folder(make_run, refused, tmp_path):
    message = refused(make_run(tmp_path / "nowhere"))
    assert f"no such file or folder: {tmp_path / 'nowhere'}" in message


def test_an_empty_folder(make_run, refused, tmp_path):
    assert f"in {tmp_path}, found none" in refused(make_run(tmp_path))


def test_an_output_that_is_a_file(make_run, letters, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UserError, match=r"run/corpus: cannot be written: Not a directory; choose"):
        curate(make_run(letters), RunFolder(tmp_path / "run"))
    assert (tmp_path / "run").read_text() == "mine"


def test_a_refusal_in_a_new_folder_leaves_no_folder(make_run, folder, tmp_path):
    (tmp_path / "a.txt").write_text("too short")
    with pytest.raises(UserError, match="every document was dropped"):
        curate(make_run(tmp_path / "a.txt"), folder)
    assert not folder.root.exists()


def test_too_many_dead_are_named_with_rate_and_places(make_run, refused, tmp_path, prose):
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text(prose(number))
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n")
    message = refused(make_run(tmp_path))
    assert "1 of 11 documents (9.09%) could not be read" in message
    assert "corpus.maximum_dead_fraction 1.00%" in message
    assert "s: picture.txt byte 0: not valid utf-8" in message


def test_a_source_of_which_nothing_could_be_read(make_run, refused, letters, tmp_path):
    (tmp_path / "bad.jsonl").write_text("not JSON\n" * 9)
    sources = [
        {"name": "a good one", "kind": "text", "path": str(letters)},
        {"name": "bad", "kind": "jsonl", "path": str(tmp_path / "bad.jsonl")},
    ]
    message = refused(make_run(letters, sources=sources, maximum_dead_fraction=0.9))
    assert message.startswith("corpus source bad: expected documents, but none of 9 could be read")
    assert "bad: bad.jsonl line 1 byte 0: not valid JSON" in message
    assert message.count("not valid JSON") == outcome.FIRST_DEAD


def test_a_source_without_a_single_line(make_run, refused, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    message = refused(make_run(tmp_path / "empty.jsonl", kind="jsonl"))
    assert "source s: expected documents, but its files hold none" in message


def test_everything_dropped(make_run, refused, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"short {number // 2}")
    message = refused(make_run(tmp_path))
    assert "every document was dropped (too_few_words 3)" in message
    assert "loosen corpus.language, corpus.length or corpus.repetition" in message


@pytest.mark.parametrize(("split", "fraction"), [("validation", 1e-9), ("train", 1 - 1e-9)])
def test_an_empty_split(make_run, refused, letters, split, fraction):
    message = refused(make_run(letters, validation_fraction=fraction, seed=5))
    assert f"none of 24 documents fell into the {split} split" in message
    assert f"corpus.validation_fraction {fraction:g} and seed 5; change one" in message


def test_a_full_disk(make_run, refused, letters, monkeypatch):
    def full(file, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.segments.write_json_lines", full)
    assert refused(make_run(letters)).startswith("no space left in ")


def test_a_pipeline_that_loses_documents(make_run, refused, letters, monkeypatch):
    """The last document of the one part gets lost on purpose."""
    documents = parts.documents
    monkeypatch.setattr(parts, "documents", lambda path: list(documents(path))[:-1])
    message = refused(make_run(letters), outcome.CountError)
    assert "corpus source s: 24 in, but 23 kept + 0 dropped + 0 dead" in message
