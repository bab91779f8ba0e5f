"""Which items of many are shown, and how text is made safe for a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

#: Characters of a text that is shown as one line.
LINE_CHARACTERS = 240


@dataclass(frozen=True)
class Window:
    """`limit` items from `offset` on."""

    offset: int
    limit: int

    def of(self, items: Iterable[Item]) -> Iterator[tuple[int, Item]]:
        """The items in the window with their numbers."""
        return itertools.islice(enumerate(items), self.offset, self.offset + self.limit)

    def told(self, total: int, what: str) -> str:
        """Which of how many are shown, and how to see more.

        >>> Window(offset=5, limit=5).told(38, "variables")
        'variables 6 to 10 of 38 (--offset 10 for more)'
        >>> Window(offset=0, limit=5).told(2, "rows")
        'rows 1 to 2 of 2'
        """
        if self.offset >= total:
            return f"no {what} from {self.offset + 1} on: there are {total}"
        last = min(total, self.offset + self.limit)
        more = f" (--offset {last} for more)" if last < total else ""
        return f"{what} {self.offset + 1} to {last} of {total}{more}"


def shown(text: str, characters: int = LINE_CHARACTERS) -> str:
    r"""A text as one line: shortened, and no character of it can steer the terminal.

    >>> shown("red \x1b[31m, two\nlines")
    'red \\x1b[31m, two⏎lines'
    """
    head = text[:characters] + (" …" if len(text) > characters else "")
    line = head.replace("\n", "⏎")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
