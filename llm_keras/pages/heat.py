"""Tables of figures whose cells are as dark as their figures are large."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llm_keras.pages.markup import Html, details, join, table, tag


def heat(shown: str, strength: float, said: str) -> Html:
    """The content of one cell.

    Args:
        shown: The figure.
        strength: How dark it is, from 0 to 1; small ones are lifted, so that they can be seen.
        said: The same in words, when one points at it.
    """
    if strength <= 0:
        return tag("span", shown, class_="heat none", title=said)
    percent = 8 + 72 * math.sqrt(min(strength, 1.0))
    return tag("span", shown, class_="heat", title=said, style=f"--heat: {percent:.0f}%")


def matrix(
    head: Sequence[str],
    tilted: Sequence[str],
    rows: Sequence[Sequence[str]],
    what: str,
    *,
    shown: int = 16,
) -> Html:
    """A table with a narrow column for each of many names; of many rows the first are open.

    Args:
        head: Titles of the columns in front, the first is of the names.
        tilted: Titles of the narrow columns, written upwards.
        rows: As many cells each.
        what: The rows, in the plural.
        shown: Rows that are open.
    """
    titles = [*head, *(tag("span", title, class_="tilted") for title in tilted)]
    first = tag("div", table(titles, rows[:shown]), class_="matrix")
    if len(rows) <= shown:
        return first
    others = tag("div", table(titles, rows[shown:]), class_="matrix")
    return join([first, details(f"{len(rows) - shown} more {what}", others)])
