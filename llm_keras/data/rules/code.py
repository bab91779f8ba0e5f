"""Code rules: programs that somebody wrote by hand, with some comment but not only comment.

References:
    Li et al. 2023, StarCoder, section 3.2; Ben Allal et al. 2023, SantaCoder, section 5.1 (the
    fraction of comments).
"""

from __future__ import annotations

import string

from llm_keras.data.rules.comments import comment_characters
from llm_keras.data.rules.verdict import KEEP, Verdict, drop

_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()
_ASCII = bytes(range(128))


def line_lengths(text: str, longest: int = 1000, mean: float = 100.0) -> Verdict:
    """BigCode: no line longer than `longest` characters, and `mean` of them in the middle.

    Blank lines count among the lines.
    """
    lengths = list(map(len, text.splitlines()))
    if not lengths:
        return KEEP
    if max(lengths) > longest:
        return drop("long_line", f"{max(lengths)} > {longest}")
    average = sum(lengths) / len(lengths)
    if average > mean:
        return drop("mean_line_length", f"{average:.2f} > {mean:g}")
    return KEEP


def alphanumeric(text: str, minimum: float = 0.25) -> Verdict:
    """BigCode: at least this fraction of the characters are letters or digits."""
    data = text.encode()
    # One of ASCII is one byte: only the others are asked one by one, twenty times as slowly.
    count = len(data) - len(data.translate(None, _ALPHANUMERIC))
    count += sum(map(str.isalnum, data.translate(None, _ASCII).decode()))
    fraction = count / max(len(text), 1)
    if text and fraction < minimum:
        return drop("alphanumeric", f"{fraction:.3f} < {minimum:g}")
    return KEEP


def comments(
    text: str, language: str | None, minimum: float = 0.01, maximum: float = 0.8
) -> Verdict:
    """BigCode: between these fractions of the characters are comment.

    Args:
        text: The program.
        language: Its programming language; of one whose comments are not known here, and of texts
            that are no program, any fraction is fine.
        minimum: Least fraction; less is data, or was made by a machine.
        maximum: Largest fraction; more is a licence, or code that was put out of use.

    Differs: BigCode measured Python, Java and JavaScript only; here every language of
    `comments.SYNTAXES` is.
    """
    count = comment_characters(text, language)
    if count is None or not text:
        return KEEP
    fraction = count / len(text)
    if fraction < minimum:
        return drop("few_comments", f"{fraction:.4f} < {minimum:g}")
    if fraction > maximum:
        return drop("many_comments", f"{fraction:.3f} > {maximum:g}")
    return KEEP
