"""The parts of the report that compute something."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_keras.evaluation.report.charts import smoothed, spread, thinned
from llm_keras.evaluation.report.facts import read_series
from llm_keras.evaluation.report.verdict import verdict


def scores(model: float, **baselines: float) -> dict[str, Any]:
    return {
        "cross_entropy": math.log(model),
        "perplexity": model,
        "baselines": {
            name: {"cross_entropy": math.log(value), "perplexity": value}
            for name, value in baselines.items()
        },
    }


@pytest.mark.parametrize(
    ("perplexity", "level", "headline", "detail"),
    [
        (
            18.0,
            "good",
            "The model beats the trigram baseline",
            "Held-out perplexity 18.0, against 21.5 (trigram).",
        ),
        (
            30.0,
            "fair",
            "The model beats the bigram baseline, not yet the trigram",
            "Held-out perplexity 30.0, against 43.0 (bigram) and 21.5 (trigram).",
        ),
        (
            50.0,
            "fair",
            "The model beats the unigram baseline, not yet the bigram",
            "Held-out perplexity 50.0, against 347 (unigram) and 43.0 (bigram).",
        ),
        (
            900.0,
            "weak",
            "The model has not yet beaten the unigram baseline",
            "Held-out perplexity 900, against 347 (unigram).",
        ),
    ],
)
def test_verdict(perplexity: float, level: str, headline: str, detail: str) -> None:
    """The sentence names the hardest baseline that is beaten and the next that is not."""
    found = verdict(scores(perplexity, unigram=347.2, bigram=43.0, trigram=21.5))
    assert (found.level, found.headline, found.detail) == (level, headline, detail)


def test_verdict_goes_by_quality_not_by_order() -> None:
    """On a corpus so small that trigrams do worse than bigrams, the bigram is the harder one."""
    found = verdict(scores(45.0, unigram=300.0, bigram=40.0, trigram=50.0))
    assert found.headline == "The model beats the trigram baseline, not yet the bigram"


def test_verdict_before_evaluation() -> None:
    assert verdict(None).level == "open"


def test_a_draw_is_not_a_win() -> None:
    assert verdict(scores(21.5, trigram=21.5)).level == "weak"


def test_smoothed_equals_a_plain_mean_and_skips_gaps() -> None:
    """Each point is the mean of the window around it, clipped at the ends, without missing ones."""
    values = np.random.default_rng(0).normal(size=400)
    values[[10, 11, 200]] = np.nan
    expected = [np.nanmean(values[max(0, i - 5) : i + 6]) for i in range(400)]
    np.testing.assert_allclose(smoothed(values), expected, rtol=1e-9)


def test_thinned_keeps_the_last_point() -> None:
    step = np.arange(1.0, 12_346)
    kept, values = thinned(step, -step)
    assert len(kept) <= 1100
    assert kept[-1] == 12_345
    np.testing.assert_array_equal(values, -kept)


def test_spread_keeps_order_and_distance() -> None:
    """Labels that would overlap move apart around their middle; the others stay."""
    places = spread([1.0, 1.01, 1.02, 5.0], gap=0.5)
    assert places == pytest.approx([0.51, 1.01, 1.51, 5.0])
    assert spread([], gap=1) == []


def test_series_after_a_resume(tmp_path: Path) -> None:
    """Steps written twice count once, with the later line; a step without a column is a gap."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": 5.0}\n{"step": 2, "loss": 4.0}\n{"step": 3, "loss": 3.9}\n'
        '{"step": 2, "loss": 4.5}\n{"step": 3, "loss": null}\n'
    )
    series = read_series(path)
    np.testing.assert_array_equal(series["step"], [1, 2, 3])
    np.testing.assert_array_equal(series["loss"], [5.0, 4.5, np.nan])
