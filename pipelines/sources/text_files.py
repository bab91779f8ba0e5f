"""Text files: one document a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llm_keras import config
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Text, Unreadable, usable

SUFFIXES = (".txt", ".text", ".md", ".markdown", ".rst")


def read(path: Path, source: config.Source) -> Iterator[Text | Unreadable]:
    """Reads one file as one text in the source's encoding; a byte order mark is no text."""
    with path.open("rb") as file:
        data = file.read(MAXIMUM_RECORD_BYTES + 1)
    if len(data) > MAXIMUM_RECORD_BYTES:
        yield Unreadable(
            f"larger than {MAXIMUM_RECORD_BYTES} bytes, the most one document may have"
        )
        return
    try:
        text = data.decode(source.encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        yield Unreadable(f"not valid {source.encoding}", offset=getattr(error, "start", None))
        return
    if problem := usable(text):
        offset = data.find(b"\0")
        yield Unreadable(problem, offset=offset if offset >= 0 else None)
        return
    yield Text(text)
