"""report.html: what it says, what it never does, and what it makes of a run in progress."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.evaluation.report import write_report
from llm_keras.run_folder import RunFolder
from tests.html_page import Page

EVIL_TEXT = """<script>alert("x")</script><img src=x onerror='alert(1)'> & "quoted" 'text'"""


def report_of(run: config.Run, folder: RunFolder) -> tuple[str, Page]:
    path = write_report(run, folder)
    assert path == folder.report
    content = path.read_text(encoding="utf-8")
    return content, Page(content)


def test_every_part_is_there(run: config.Run, full_folder: RunFolder) -> None:
    """Verdict, table, sample, counts, examples, settings and origin can be read on the page."""
    _, page = report_of(run, full_folder)
    for words in [
        "The model beats the bigram baseline, not yet the trigram",
        "Held-out perplexity 28.9, against 42.9 (bigram) and 21.5 (trigram)",
        "853,888 parameters",
        "this model 28.9 3.364 1.618",
        "300 of 300 steps, 1,228,800 tokens, 82 s in training steps",
        "26 documents (1.0 kB) for training, 2 documents (90 bytes) for validation",
        "dropped: duplicate 4",
        "unreadable (dead letters) 2",
        "too few words · 6 < 50",
        "A rejected text.",
        "goes on",
        "global_batch_size: 16",
        "keras 3.",
        "tokenizer SHA-256 abab",
    ]:
        assert words in page.text, words
    assert "A second one for the same reason." not in page.text
    assert page.tags.count("svg") == 5
    assert not page.open


def test_says_what_the_baselines_counted(run: config.Run, full_folder: RunFolder) -> None:
    """All training documents, or no more tokens than the settings allow."""
    _, page = report_of(run, full_folder)
    assert "followed one another in the same training documents." in page.text
    capped = config.Run.model_validate({**run.model_dump(), "evaluation": {"baseline_tokens": 99}})
    _, page = report_of(capped, full_folder)
    assert "followed one another in the first 99 training tokens." in page.text


def test_no_text_becomes_markup(run: config.Run, full_folder: RunFolder) -> None:
    """Purpose, prompt, sample, document, detail, source and settings are shown, never obeyed."""
    content, page = report_of(run, full_folder)
    assert page.text.count(EVIL_TEXT) >= 9
    assert not {"script", "img", "iframe", "object", "link", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert content.count("<script") == 0


def test_asks_for_nothing_from_outside(run: config.Run, full_folder: RunFolder) -> None:
    """No attribute or style points anywhere but into the page, and its policy forbids it too."""
    content, page = report_of(run, full_folder)
    pointing = {"src", "href", "xlink:href", "action", "data", "srcset"}
    targets = {value[0] for name, value in page.attributes if name in pointing}
    assert targets <= {"#"}
    assert "@import" not in content
    assert content.count("url(") == content.count("url(#")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_ids_are_unique(run: config.Run, full_folder: RunFolder) -> None:
    """Five charts in one page do not clip with each other's shapes."""
    _, page = report_of(run, full_folder)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) > 100
    assert len(set(ids)) == len(ids)


def test_charts_hold_text_and_the_colours_of_the_page(
    run: config.Run, full_folder: RunFolder
) -> None:
    """Labels are text that can be selected; no colour of its own remains for the dark."""
    content, page = report_of(run, full_folder)
    for words in ["nats per token", "step", "unigram 347", "bigram 42.9", "trigram 21.5"]:
        assert words in page.text
    charts = content[content.index("<svg") : content.rindex("</svg>")]
    assert "#0102" not in charts
    assert "var(--training)" in charts


def test_is_small_and_whole(run: config.Run, full_folder: RunFolder) -> None:
    """A long training and a long document do not make a heavy page; no partial file remains."""
    with full_folder.metrics.open("w") as file:
        for step in range(1, 20_001):
            file.write(json.dumps({"step": step, "loss": 3 + step % 7 / 10, "tokens": 1}) + "\n")
    report_of(run, full_folder)
    assert full_folder.report.stat().st_size < 1_500_000
    assert not list(full_folder.root.glob("*.partial"))


def test_says_what_is_missing(run: config.Run, empty_folder: RunFolder) -> None:
    """A run of which nothing was performed names each part and the command that makes it."""
    _, page = report_of(run, empty_folder)
    assert "Not yet evaluated" in page.text
    for command in ["curate", "tokenizer", "train", "evaluate"]:
        assert f"llm-keras {command} makes it" in page.text
    assert "global_batch_size: 16" in page.text


def test_shows_a_training_in_progress(run: config.Run, full_folder: RunFolder) -> None:
    """Without evaluation and validation, and with a line half written, the curve is there."""
    full_folder.evaluation.unlink()
    full_folder.validation_metrics.unlink()
    with full_folder.metrics.open("a") as file:
        file.write('{"step": 301, "lo')
    _, page = report_of(run, full_folder)
    assert "300 of 300 steps" in page.text
    assert "Not evaluated yet" in page.text
    assert page.tags.count("svg") == 5


def test_one_step_is_enough(run: config.Run, full_folder: RunFolder) -> None:
    """A curve of one point draws without a warning."""
    full_folder.metrics.write_text(json.dumps({"step": 1, "loss": 7.0, "grad_norm": None}) + "\n")
    _, page = report_of(run, full_folder)
    assert "1 of 300 steps" in page.text
    assert page.tags.count("svg") == 2


def test_odd_characters(run: config.Run, full_folder: RunFolder) -> None:
    """NUL, escape sequences and lone surrogates cannot break the file or the reader's terminal."""
    evaluation = json.loads(full_folder.evaluation.read_text())
    evaluation["samples"] = [{"prompt": "nul \x00 esc \x1b[31m", "text": "lone \ud800 é ﷺ"}]
    full_folder.evaluation.write_text(json.dumps(evaluation))
    content, page = report_of(run, full_folder)
    assert "nul \ufffd esc \ufffd[31m" in page.text
    assert "lone ? é ﷺ" in page.text
    assert not any(ord(c) < 32 and c not in "\n\t" for c in content)


def test_tokenizer_cuts_a_sentence(run: config.Run, full_folder: RunFolder) -> None:
    """With a tokenizer, the first document is shown in pieces, and the bytes a token."""
    from llm_keras.tokenizers import train_tokenizer

    small = run.model_copy(
        update={"tokenizer": run.tokenizer.model_copy(update={"vocabulary_size": 290})}
    )
    train_tokenizer(small, full_folder)
    content, page = report_of(small, full_folder)
    assert "SentencePiece bpe, 290 pieces" in page.text
    assert 'class="pieces"><span>' in content


def test_no_folder(run: config.Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: no run there; make one with `llm-keras run`"):
        write_report(run, RunFolder(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evaluation.json", '{"step": 3', "evaluation.json: not JSON; run the stage again"),
        ("evaluation.json", "[]", "evaluation.json: expected a JSON object"),
        ("metrics.jsonl", '{"loss": 3}\n', "metrics.jsonl: expected one JSON object with a step"),
        ("metrics.jsonl", "loss\n", "metrics.jsonl: expected one JSON object with a step"),
    ],
)
def test_damaged_files_are_named(
    run: config.Run, full_folder: RunFolder, name: str, content: str, message: str
) -> None:
    (full_folder.root / name).write_text(content)
    with pytest.raises(UserError, match=message):
        write_report(run, full_folder)
    assert not full_folder.report.exists()
