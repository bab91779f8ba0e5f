"""What readers yield: texts, and a note for everything that could not be read."""

from __future__ import annotations

from typing import NamedTuple

#: Largest text file and largest JSON line, in bytes: some twenty times what the default length
#: rule keeps, and small enough that a worker stays within a gigabyte.
MAXIMUM_RECORD_BYTES = 16 * 2**20


class Piece(NamedTuple):
    """A part of a file that is read alone; all pieces together are the file, once.

    Args:
        place: Of the piece, from 0.
        of: How many there are.
    """

    place: int
    of: int

    def bounds(self, size: int) -> tuple[int, int]:
        """Where it begins and ends in something of a size.

        >>> [Piece(place, 3).bounds(10) for place in range(3)]
        [(0, 3), (3, 6), (6, 10)]
        """
        return size * self.place // self.of, size * (self.place + 1) // self.of


class Text(NamedTuple):
    """One text as it was found, with what the file says about it.

    Args:
        text: The text.
        url: Where it was found.
        target: What is to be answered to it: its translation, say.
        subset: Part of the source that it belongs to.
        language: Language tag; None: the source's, or the one identified.
        licence: Licence tag; None: the source's.
        timestamp: When it was written or fetched, ISO 8601.
        name: Which part of the file it is, such as a path in an archive; part of its id.
    """

    text: str
    url: str | None = None
    target: str | None = None
    subset: str | None = None
    language: str | None = None
    licence: str | None = None
    timestamp: str | None = None
    name: str | None = None


class Passed(NamedTuple):
    """Something that is readable but no text of the corpus: a redirect, a vendored file.

    Args:
        reason: Why, one of the few names that its kind lists.
        name: Which part of the file it is.
    """

    reason: str
    name: str | None = None


class Unreadable(NamedTuple):
    """Something that is no text.

    Args:
        error: What was expected and what was found; never any of the text itself.
        line: The line it stands in, from 1, where the file has records of one line.
        offset: The byte, from 0, where reading failed, if known. Of the decompressed file.
        name: Which part of the file it is.
    """

    error: str
    line: int | None = None
    offset: int | None = None
    name: str | None = None


Found = Text | Passed | Unreadable


def usable(text: str) -> str:
    """Says what makes a decoded text unusable; empty if nothing does.

    NUL characters mark binary data, lone surrogates have no UTF-8 form. Every other character is
    text, however odd.
    """
    if "\0" in text:
        return "holds a NUL character: binary data, or another encoding"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no character"
    return ""
