"""JSON lines: one JSON object a line, plain, `.gz` or `.zst`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from llm_keras import config
from pipelines.sources import compressed, rows
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Text, Unreadable

_KINDS = (".jsonl", ".ndjson")
#: C4 and Dolma name their compressed JSON lines `.json.gz`; a plain `.json` is rarely lines.
SUFFIXES = (
    tuple(kind + packed for kind in (*_KINDS, ".json") for packed in (".gz", ".zst")) + _KINDS
)


class Line(NamedTuple):
    """One line of a file.

    Args:
        number: From 1.
        offset: Of its first byte in the decompressed file.
        data: Its bytes, without the line feed; None if they are too many.
        ended: Whether a line feed ended it; only the last line of a file may lack it.
    """

    number: int
    offset: int
    data: bytes | None
    ended: bool = True


def read(path: Path, source: config.Source) -> Iterator[Text | Unreadable]:
    """Reads one file; a line that is no good costs only itself, blank lines count as nothing."""
    extent = compressed.examine(path)
    for line in lines(compressed.chunks(path, extent)):
        if not line.ended and extent.error:
            break
        if line.data is None:
            yield Unreadable(f"longer than {MAXIMUM_RECORD_BYTES} bytes", line.number, line.offset)
        elif line.data.strip():
            yield _parse(line, source)
    if extent.error:
        yield Unreadable(extent.error, offset=extent.intact_bytes)


def lines(pieces: Iterable[bytes], maximum_bytes: int = MAXIMUM_RECORD_BYTES) -> Iterator[Line]:
    """Cuts a stream of bytes at line feeds, holding at most one line and one piece."""
    held: list[bytes] = []
    number, offset, held_bytes = 1, 0, 0
    for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            size = held_bytes + len(end)
            fits = size <= maximum_bytes
            yield Line(number, offset, b"".join((*held, end)) if fits else None)
            number, offset, held_bytes = number + 1, offset + size + 1, 0
            held.clear()
        held_bytes += len(rest)
        if held_bytes <= maximum_bytes:
            held.append(rest)
        else:
            held.clear()
    if held_bytes:
        fits = held_bytes <= maximum_bytes
        yield Line(number, offset, b"".join(held) if fits else None, ended=False)


def _parse(line: Line, source: config.Source) -> Text | Unreadable:
    """Reads one line as a row."""
    data = line.data or b""

    def unreadable(error: str, within: int = 0) -> Unreadable:
        return Unreadable(error, line.number, line.offset + within)

    try:
        decoded = data.decode(source.encoding)
        row = json.loads(decoded.removeprefix("\ufeff") if line.number == 1 else decoded)
    except UnicodeDecodeError as error:
        return unreadable(f"not valid {source.encoding}", error.start)
    except json.JSONDecodeError as error:
        return unreadable(f"not valid JSON: {error.msg} at character {error.pos} of the line")
    except (RecursionError, ValueError):
        return unreadable("not valid JSON: too deep, or a number too long")
    found = rows.to_text(row, source.fields, source.encoding)
    return unreadable(found.error) if isinstance(found, Unreadable) else found
