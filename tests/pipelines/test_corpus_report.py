"""A curation leaves its page, each of its documents can be asked after, and a takedown clears."""

import json

import pytest
from typer.testing import CliRunner

from llm_keras import cli, run_file
from llm_keras.inspection import inspect
from llm_keras.run_folder import RunFolder
from pipelines import report
from pipelines.curate import curate
from tests.html_page import Page


@pytest.fixture(scope="module")
def source(tmp_path_factory, prose):
    """Twenty letters; one a copy, one nearly so, one short, one with an address; a bad line."""
    texts = [prose(number) + " " + prose(number + 100) for number in range(20)]
    words = texts[1].split()
    near = " ".join([*words[:-3], "other"])
    extra = [texts[0], near, "Too short.", prose(50) + " Write to ada@example.org today."]
    lines = [json.dumps({"text": text}) for text in [*texts, *extra]]
    path = tmp_path_factory.mktemp("source") / "letters.jsonl"
    path.write_text("\n".join([*lines, "{no json"]))
    return path


@pytest.fixture(scope="module")
def curated(tmp_path_factory, make_run, source):
    run = make_run(
        source,
        kind="jsonl",
        deduplicate={"near": {}},
        redact={},
        maximum_dead_fraction=0.1,
        language={"keep": ["en"], "minimum_score": 0.1},
        repetition=None,
    )
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "letters")
    curate(run, folder)
    folder.run_file.write_text(run_file.dump(run))
    return run, folder


def test_the_page_says_what_was_done(curated):
    _, folder = curated
    page = Page(folder.corpus_report.read_text())
    for words in [
        "21 of 25 documents kept (84.0%)",
        "near duplicate 1 document, 4.0% of all",
        "too few words · 2 < 50",
        "2 copies of 2 documents were dropped.",
        "≥ 0.1",
        "email",
    ]:
        assert words in page.text, words
    assert "ada@example.org" not in page.text


def test_every_document_can_be_asked_after(curated, rows):
    """Whatever became of it, by its id; and all of them by their file."""
    _, folder = curated
    for each in rows(folder.documents):
        lines = list(inspect(folder.root, document=each["id"]))
        assert lines[0] == each["id"]
        assert lines[1].startswith(("  kept for train", "  kept for validation"))
    for each in rows(folder.rejected):
        lines = list(inspect(folder.root, document=each["id"]))
        assert any(each["reason"] in line for line in lines)
        assert ("kept for" in lines[-1]) is (each["reason"] != "too_few_words")
    first = next(inspect(folder.root, document="s:letters.jsonl"))
    assert first.startswith("s:letters.jsonl: 21 kept, 1 dropped: ")
    assert first.endswith("1 dead")


def test_redactions_are_counted(curated, rows):
    _, folder = curated
    (redacted,) = [each for each in rows(folder.documents) if each.get("redacted")]
    assert "  redacted: email 1" in list(inspect(folder.root, document=redacted["id"]))


def test_a_page_that_fails_does_not_lose_the_corpus(
    make_run, source, folder, monkeypatch, capsys, curation
):
    def fail(*_):
        raise ValueError("secret text")

    monkeypatch.setattr(report, "write_report", fail)
    curate(make_run(source, kind="jsonl", maximum_dead_fraction=0.1), folder)
    assert curation(folder)["sources"]["s"]["in"] == 25
    assert not folder.corpus_report.exists()
    told = capsys.readouterr().err
    assert "no report.html (ValueError); `llm-keras report` tries again" in told
    assert "secret" not in told


def test_takedown_removes_what_pages_quote(curated, rows):
    """And the command writes the page anew, without it."""
    _, folder = curated
    gone = rows(folder.documents, "train*")[0]
    folder.report.write_text(gone["text"])
    said = CliRunner().invoke(cli.app, ["takedown", gone["id"], str(folder.root)])
    assert "pages that quoted are gone" in said.output
    assert not folder.report.exists()
    assert not folder.corpus_report.exists()
    told = next(inspect(folder.root, document=gone["id"]))
    assert told.startswith(f"{gone['id']}: was taken down")
    report.write_report(folder)
    assert gone["text"][:60] not in folder.corpus_report.read_text()
