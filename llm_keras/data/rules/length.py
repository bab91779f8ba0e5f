"""Length rules: documents of a usual number of words, and words of a usual length."""

from __future__ import annotations

from llm_keras.data.rules.verdict import KEEP, Verdict, drop


def not_empty(text: str) -> Verdict:
    """Drops a text of white space only, whatever the other rules say."""
    return KEEP if text and not text.isspace() else drop("empty", f"{len(text)} characters")


def has_target(target: str) -> Verdict:
    """Drops a pair whose other side is white space only: nothing is to be learned from it."""
    if target and not target.isspace():
        return KEEP
    return drop("empty_target", f"{len(target)} characters")


def word_count(num_words: int, low: int = 50, high: int = 100_000) -> Verdict:
    """Gopher: between `low` and `high` words (Rae et al. 2021, appendix A1.1).

    Words stand between white space: lower `low` for languages that write none.
    """
    if num_words < low:
        return drop("too_few_words", f"{num_words} < {low}")
    if num_words > high:
        return drop("too_many_words", f"{num_words} > {high}")
    return KEEP


def mean_word_length(
    word_characters: int, num_words: int, low: float = 3.0, high: float = 10.0
) -> Verdict:
    """Gopher: the mean word length lies in [low, high] characters (appendix A1.1).

    Args:
        word_characters: Characters of all words together.
        num_words: How many words; none at all passes.
        low: Least mean, in characters.
        high: Largest mean, in characters.
    """
    mean = word_characters / num_words if num_words else low
    if low <= mean <= high:
        return KEEP
    return drop("mean_word_length", f"{mean:.2f} not in [{low:g}, {high:g}]")
