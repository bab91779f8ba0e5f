"""Counts documents by what the rules measure of them, so that thresholds can be judged by eye."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from llm_keras.data.rules.text_view import TextView

#: Measure -> where its bins begin. The thresholds that the field uses are all borders of bins.
BORDERS: dict[str, Sequence[float]] = {
    "words": (0, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000),
    "mean_word_length": (0, 1, 2, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 12, 20),
    "alphabetic_words": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    "duplicate_line_characters": (0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7),
    "top_2_gram_characters": (0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7),
    "punctuated_lines": (0, 0.05, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "short_lines": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.67, 0.8, 0.9),
    "newlines_per_word": (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1),
    "language_score": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95),
}


class Histograms:
    """Documents by bin of every measure that a rule has taken of them.

    Nothing is measured for the histograms alone: what no rule asked for is not counted.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, source: str, view: TextView) -> None:  # noqa: ARG002
        """Counts one document, by what `view.measured` holds.

        Args:
            source: Its source; all sources are counted together.
            view: What the rules have seen.
        """
        for measure, value in view.measured.items():
            if (borders := BORDERS.get(measure)) is not None:
                label = bin_label(borders, value)
                self._counts.setdefault(measure, Counter())[label] += 1

    def take(self) -> dict[str, dict[str, dict[str, int]]]:
        """The counts since the last call: {"histograms": {measure: {bin: count}}}."""
        counts, self._counts = self._counts, {}
        return {"histograms": {name: dict(each) for name, each in sorted(counts.items())}}


def bin_label(borders: Sequence[float], value: float) -> str:
    """The bin of a value: where it begins; values below the first are in the first.

    >>> bin_label((0, 0.1, 0.2), 0.15)
    '0.1'
    """
    return f"{borders[max(bisect_right(borders, value) - 1, 0)]:g}"
