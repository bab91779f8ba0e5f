"""Parts of the page that compute something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_keras import config
from llm_keras.data import histograms as measured
from llm_keras.pages.svg import Limit
from pipelines.report import facts, histograms, mixture, rejected
from pipelines.report.mixture import Share

from . import made_up


@pytest.mark.parametrize(
    ("share", "asked", "off"),
    [
        (0.5, None, False),
        (0.105, 0.1, False),
        (0.1051, 0.1, True),
        (0.095, 0.1, False),
        (0.0949, 0.1, True),
        (0.0, 0.0, False),
        (0.01, 0.0, True),
    ],
)
def test_off_is_relative_to_what_was_asked_for(share: float, asked: float, off: bool) -> None:
    """A small source may not be off by half, however little of the whole that is."""
    each = Share("a", share, asked, 1.0, 1, None, tolerance=0.05)
    assert each.is_off is off


def shares_of(tmp_path: Path, curation: dict[str, Any], manifest: Any = None) -> list[Share]:
    found = facts.CorpusFacts(
        folder=made_up.RunFolder(tmp_path),
        run=None,
        curation=curation,
        manifest=manifest,
        kept=(),
        rejected=rejected.Rejected(),
        there={},
    )
    return mixture.shares(found)


def counts(size: int) -> dict[str, int]:
    return {"in": 1, "bytes_kept": 2 * size, "bytes_kept_for_training": size}


def test_shares_are_of_what_is_read(tmp_path: Path) -> None:
    """Bytes times epochs before there are tokens, and tokens as they are counted after."""
    asked = {
        "a": {"epochs": 0.5, "asked": 0.5, "share": 0.5},
        "b": {"epochs": 2.0, "asked": 0.5, "share": 0.5},
    }
    curation = {"sources": {"a": counts(400), "b": counts(100)}, "mixture": asked}
    found = {each.name: each for each in shares_of(tmp_path, curation)}
    assert (found["a"].share, found["b"].share) == (0.5, 0.5)
    manifest = {"sources": {"a": {"train_tokens": 30}, "b": {"train_tokens": 10}}}
    found = {each.name: each for each in shares_of(tmp_path, curation, manifest)}
    assert (found["a"].share, found["b"].share) == (0.75, 0.25)
    assert (found["a"].tokens, found["a"].is_off) == (30, True)


def test_limits_of_sources_with_rules_of_their_own() -> None:
    """A limit that only some sources have names them."""
    corpus = config.Corpus.model_validate(
        {
            "sources": [
                {"name": "web", "kind": "text", "path": "web"},
                {
                    "name": "verse",
                    "kind": "text",
                    "path": "verse",
                    "rules": {"length": {"minimum_words": 5}},
                },
            ]
        }
    )
    limits = histograms.limits_of(corpus)
    assert limits["words"] == {
        Limit(50, "least"): ["web"],
        Limit(100_000, "most"): [],
        Limit(5, "least"): ["verse"],
    }
    assert limits["top_2_gram_characters"] == {Limit(0.2, "most"): []}
    assert "language_score" not in limits
    assert "short_lines" not in limits


def test_no_rules_no_limits() -> None:
    assert histograms.limits_of(config.Corpus(preset="none", language=None)) == {}


def test_every_limit_is_of_a_measure_with_bins() -> None:
    """And every measure has a title."""
    corpus = config.Corpus.model_validate({"preset": "fineweb", "language": {"keep": ["en"]}})
    assert set(histograms.limits_of(corpus)) == set(measured.BORDERS) == set(histograms.TITLES)


def test_bins_are_all_there() -> None:
    """Empty ones between, and one beyond the last that holds something."""
    bins = histograms.bins_of("words", {"0": 3, "50": 2})
    assert [(each.start, each.count) for each in bins] == [
        (0, 3),
        (10, 0),
        (20, 0),
        (50, 2),
        (100, 0),
    ]
    other = histograms.bins_of("made_up", {"0.5": 1, "0": 2})
    assert [(each.start, each.count) for each in other] == [(0, 2), (0.5, 1)]


def test_dropped_documents_are_looked_through_up_to_a_limit(tmp_path: Path) -> None:
    """Clusters by the document that stays; examples of other sources, and of other clusters."""
    folder = made_up.make(tmp_path / "run", 4)
    found = rejected.read(folder.rejected, 10**9)
    first = found.largest()[0]
    assert found.whole
    assert (first.stays, first.copies, first.least) == (made_up.identity("web-00", 0), 20, 0.71)
    assert [cluster.copies for cluster in found.largest()] == [20, 5]
    assert len({each["source"] for each in found.examples["language"]}) == 3
    assert len({each["detail"] for each in found.examples["duplicate"]}) == 3
    cut = rejected.read(folder.rejected, 2_000)
    assert not cut.whole
    assert 0 < cut.rows < found.rows
