"""Symbol rules: documents of words rather than of signs, bullets and cut lines.

References:
    Rae et al. 2021 (Gopher), appendix A1.1; what it leaves open is as in datatrove 0.10.1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from llm_keras.data.rules.verdict import KEEP, Verdict, drop

BULLETS = ("•", "-")
ELLIPSES = ("...", "…")


def signs_per_word(name: str, signs: int, num_words: int, maximum: float) -> Verdict:
    """At most so many hashes, or ellipses, for each word.

    Args:
        name: What the signs are, for the reason: "hashes" or "ellipses".
        signs: How many.
        num_words: Words and signs.
        maximum: Largest quotient.
    """
    quotient = signs / max(num_words, 1)
    if quotient > maximum:
        return drop(f"{name}_per_word", f"{quotient:.3f} > {maximum:g}")
    return KEEP


def bullet_lines(lines: Sequence[str], maximum: float) -> Verdict:
    """At most this fraction of the lines, blank ones among them, begins with a bullet."""
    fraction = sum(line.lstrip().startswith(BULLETS) for line in lines) / max(len(lines), 1)
    return KEEP if fraction <= maximum else drop("bullet_lines", f"{fraction:.3f} > {maximum:g}")


def ellipsis_lines(lines: Sequence[str], maximum: float) -> Verdict:
    """At most this fraction of the lines, blank ones among them, ends in an ellipsis."""
    fraction = sum(line.rstrip().endswith(ELLIPSES) for line in lines) / max(len(lines), 1)
    return KEEP if fraction <= maximum else drop("ellipsis_lines", f"{fraction:.3f} > {maximum:g}")


def alphabetic_words(fraction: float, minimum: float) -> Verdict:
    """At least this fraction of words and signs has a letter."""
    if fraction < minimum:
        return drop("alphabetic_words", f"{fraction:.3f} < {minimum:g}")
    return KEEP


def stop_words(words: Collection[str], wanted: Collection[str], minimum: int) -> Verdict:
    """At least so many different ones of the most usual words of English, in small letters."""
    found = sum(word in words for word in wanted)
    return KEEP if found >= minimum else drop("stop_words", f"{found} < {minimum}")
