"""Places in a file where bytes are missing."""

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """A place where bytes are missing.

    Args:
        error: What is wrong.
        doubtful_bytes: How many of the bytes given just before have no checksum to prove them.
    """

    error: str
    doubtful_bytes: int = 0
