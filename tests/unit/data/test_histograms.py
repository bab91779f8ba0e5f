"""Histograms of what rules measure."""

import pytest

from llm_keras import config
from llm_keras.data.histograms import BORDERS, Histograms, bin_label
from llm_keras.data.rules import TextView, rules


@pytest.mark.parametrize(
    ("value", "label"),
    [(-1, "0"), (0, "0"), (49, "20"), (50, "50"), (99_999, "50000"), (10**9, "100000")],
)
def test_a_bin_is_named_by_where_it_begins(value, label):
    assert bin_label(BORDERS["words"], value) == label


def test_borders_rise():
    for borders in BORDERS.values():
        assert list(borders) == sorted(set(borders))
        assert len({f"{border:g}" for border in borders}) == len(borders)


def test_only_what_rules_asked_for_is_counted():
    histograms = Histograms()
    for text in ("one two three", "word " * 60):
        view = TextView(text)
        for rule in rules(config.Rules(preset="gopher")):
            if not rule.judge(view).keep:
                break
        histograms.add("s", view)
    counts = histograms.take()["histograms"]
    assert counts["words"] == {"0": 1, "50": 1}
    assert counts["mean_word_length"] == {"4": 1}
    assert histograms.take() == {"histograms": {}}


def test_thresholds_of_the_presets_are_borders():
    length, lines = config.Length(), config.LineQuality()
    assert {length.minimum_words, length.maximum_words} <= set(BORDERS["words"])
    assert lines.minimum_punctuated_lines in BORDERS["punctuated_lines"]
    assert config.Symbols().minimum_alphabetic_words in BORDERS["alphabetic_words"]
    assert config.Repetition().top_ngram_characters[2] in BORDERS["top_2_gram_characters"]
