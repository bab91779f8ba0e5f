"""What a document comes to: its text, or what is wrong with it."""

from __future__ import annotations

from typing import NamedTuple

#: Most characters of one document.
MAXIMUM_CHARACTERS = 16 * 2**20


class UnfitError(ValueError):
    """A document cannot be read; says why, and nothing of its content."""


class Content(NamedTuple):
    """The text of a document.

    Args:
        text: It; empty if there is none, as in a scanned page.
        written: When it was written, ISO 8601, if the document says so.
    """

    text: str
    written: str | None = None
