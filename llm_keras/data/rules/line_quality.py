"""Line rules: documents of sentences rather than of entries, headings and boilerplate.

References:
    Penedo et al. 2024, The FineWeb Datasets, section 3.6; what it leaves open is as in datatrove
    0.10.1: lines that are blank do not count.
"""

from __future__ import annotations

from llm_keras.data.rules.verdict import KEEP, Verdict, drop


def punctuated_lines(fraction: float, minimum: float) -> Verdict:
    """At least this fraction of the lines ends in a mark that ends a sentence."""
    if fraction < minimum:
        return drop("punctuated_lines", f"{fraction:.3f} < {minimum:g}")
    return KEEP


def short_lines(fraction: float, maximum: float) -> Verdict:
    """At most this fraction of the lines is short."""
    return KEEP if fraction <= maximum else drop("short_lines", f"{fraction:.3f} > {maximum:g}")


def repeated_line_characters(repeated: int, total: int, maximum: float) -> Verdict:
    """At most this fraction of the characters stands in lines that stood before.

    Args:
        repeated: Characters of such lines.
        total: Characters of the text without its line feeds.
        maximum: Largest fraction.
    """
    fraction = repeated / max(total, 1)
    if fraction > maximum:
        return drop("repeated_line_characters", f"{fraction:.3f} > {maximum:g}")
    return KEEP


def newlines_per_word(quotient: float, maximum: float) -> Verdict:
    """At most so many line feeds for each word: lists have more."""
    if quotient > maximum:
        return drop("newlines_per_word", f"{quotient:.3f} > {maximum:g}")
    return KEEP
