"""What the report says of translations and of hidden tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_keras import config
from llm_keras.evaluation.report import write_report
from llm_keras.evaluation.report.verdict import verdict
from llm_keras.run_folder import RunFolder
from tests.html_page import Page

from .conftest import EVIL

BASELINES = {
    "unigram": {"cross_entropy": 5.9, "perplexity": 365.0, "bits_per_byte": 2.1},
    "trigram": {"cross_entropy": 4.1, "perplexity": 60.3, "bits_per_byte": 1.4},
}
SAMPLE = {
    "subset": "Ruth",
    "source": f"Now it came to pass in the days when the judges ruled. {EVIL}",
    "reference": "Y aconteció en los días que gobernaban los jueces.",
    "translation": "Y aconteció en los días de los jueces.",
    "memory": "Y en los días de Noé.",
}


def scores(bleu: float, chrf: float) -> dict[str, Any]:
    books = {
        name: {"pairs": pairs, "bleu": bleu + shift, "chrf": chrf + shift}
        for name, pairs, shift in (("Jonah", 48, 1.5), ("Ruth", 85, -1.0))
    }
    return {"bleu": bleu, "chrf": chrf, "subsets": books}


def translation(bleu: float = 14.2, chrf: float = 38.5) -> dict[str, Any]:
    return {
        "pairs": 133,
        "held_out": 1330,
        "too_long": 2,
        "known_pairs": 29_800,
        "num_beams": 4,
        "length_penalty": 0.6,
        "signatures": {"bleu": "nrefs:1|tok:13a", "chrf": "nrefs:1|nc:6"},
        **scores(bleu, chrf),
        "baselines": {"copy": scores(0.6, 14.0), "translation memory": scores(4.2, 26.1)},
        "samples": [SAMPLE] * 3,
    }


def common(kind: str) -> dict[str, Any]:
    return {"step": 3000, "kind": kind, "split": "validation", "parameters": 4_000_000}


@pytest.fixture
def translated(run: config.Run, full_folder: RunFolder) -> tuple[config.Run, RunFolder]:
    """A finished run of an encoder_decoder."""
    model = run.model.model_copy(update={"kind": "encoder_decoder"})
    quality = {"targets": 5000, "bytes": 15_000, "cross_entropy": 2.9, "perplexity": 18.2}
    evaluation = {
        **common("encoder_decoder"),
        **quality,
        "bits_per_byte": 1.1,
        "baselines": BASELINES,
        "translation": translation(),
    }
    full_folder.evaluation.write_text(json.dumps(evaluation))
    return run.model_copy(update={"model": model}), full_folder


@pytest.fixture
def guessed(run: config.Run, full_folder: RunFolder) -> tuple[config.Run, RunFolder]:
    """A finished run of a masked_lm."""
    model = run.model.model_copy(update={"kind": "masked_lm"})
    good = {"accuracy": 0.412, "top_5_accuracy": 0.633, "cross_entropy": 3.1, "perplexity": 22.2}
    fair = {"accuracy": 0.271, "top_5_accuracy": 0.45, "cross_entropy": 4.2, "perplexity": 66.7}
    weak = {"accuracy": 0.061, "top_5_accuracy": 0.18, "cross_entropy": 6.4, "perplexity": 602.0}
    parts = [
        "Fellow citizens",
        {"truth": " of", "guess": " of"},
        " the Senate and",
        {"truth": " House", "guess": EVIL},
        " of Representatives",
    ]
    evaluation = {
        **common("masked_lm"),
        **good,
        "targets": 9_000,
        "baselines": {"unigram": weak, "neighbours": fair},
        "masked": {"fraction": 0.15, "seed": 0, "samples": [{"parts": parts}]},
    }
    full_folder.evaluation.write_text(json.dumps(evaluation))
    return run.model_copy(update={"model": model}), full_folder


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_translations(translated: tuple[config.Run, RunFolder]) -> None:
    """Verdict, scores, signatures, method, books and samples can be read on the page."""
    page = read(write_report(*translated))
    for words in [
        "The model beats the translation memory baseline",
        "BLEU 14.2 / chrF 38.5 on 133 held-out pairs, against 0.6 / 14.0 (copy) and 4.2 / 26.1",
        "133 of 1,330 held-out pairs, by beam search with 4 hypotheses and a length penalty of 0.6",
        "2 sources are too long for the model; left out",
        "of 29,800, whose source is most like",
        "sacrebleu: nrefs:1|tok:13a and nrefs:1|nc:6",
        "Jonah 48 15.7 / 40.0",
        "they count the targets and never see a source",
        "Y aconteció en los días que gobernaban",
        EVIL,
    ]:
        assert words in page.text, words
    assert page.text.index("this model 14.2 38.5") < page.text.index("translation memory 4.2 26.1")
    assert page.text.count("Y en los días de Noé.") == 3
    assert page.tags.count("svg") == 7
    assert not page.open


def test_hidden_tokens(guessed: tuple[config.Run, RunFolder]) -> None:
    """Accuracies beside the baselines; right guesses, and wrong ones before the truth."""
    page = read(write_report(*guessed))
    for words in [
        "The model beats the neighbours baseline",
        "9,000 tokens, 15% of each row, were hidden",
        "this model 41.2% 63.3% 22.2 3.100",
        "neighbours 27.1% 45.0% 66.7 4.200",
        "41.2% hidden tokens guessed",
        f"{EVIL} House of Representatives",
    ]:
        assert words in page.text, words
    assert page.tags.count("del") == 1
    assert page.tags.count("ins") == 2
    assert not {"script", "img"} & set(page.tags)


@pytest.mark.parametrize("kind", ["encoder_decoder", "masked_lm"])
def test_before_evaluation(kind: str, run: config.Run, empty_folder: RunFolder) -> None:
    """Each kind names the command that makes its sections."""
    model = run.model.model_copy(update={"kind": kind})
    page = read(write_report(run.model_copy(update={"model": model}), empty_folder))
    assert "llm-keras evaluate makes it" in page.text


@pytest.mark.parametrize(
    ("bleu", "chrf", "level", "headline"),
    [
        (14.2, 38.5, "good", "The model beats the translation memory baseline"),
        (3.0, 30.0, "fair", "The model beats the copy baseline, not yet the translation memory"),
        (0.1, 40.0, "weak", "The model has not yet beaten the copy baseline"),
    ],
)
def test_verdict_of_translations(bleu: float, chrf: float, level: str, headline: str) -> None:
    """A baseline is beaten only where both scores are better."""
    found = verdict({"translation": translation(bleu, chrf)})
    assert (found.level, found.headline) == (level, headline)
