"""Beam without its notes on its own workings: `from pipelines.quiet import beam`.

Beam reports through its own logger, and on import through the root logger, about a Google library
that nobody here needs; with no handler there, that call would even install one.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Beam's log off the terminal inside the block; its errors are still raised."""
    root, own = logging.getLogger(), logging.getLogger("apache_beam")
    silent, level = logging.NullHandler(), own.level

    def no_google_note(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("apitools not found")

    root.addHandler(silent)
    root.addFilter(no_google_note)
    own.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        own.setLevel(level)
        root.removeFilter(no_google_note)
        root.removeHandler(silent)


with quiet(), warnings.catch_warnings():
    # That Google's libraries, where another package brought them, would like a further one.
    warnings.simplefilter("ignore", ImportWarning)
    import apache_beam as beam

__all__ = ["beam", "quiet"]
