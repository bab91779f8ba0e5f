"""JSON lines: one JSON object a line, plain, `.gz` or `.zst`; plain ones also in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from llm_keras import config
from pipelines.sources import compressed, rows
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Piece, Text, Unreadable

IN_PIECES = (".jsonl", ".ndjson")
#: C4 and Dolma name their compressed JSON lines `.json.gz`; a plain `.json` is rarely lines.
SUFFIXES = (
    tuple(kind + packed for kind in (*IN_PIECES, ".json") for packed in (".gz", ".zst")) + IN_PIECES
)


class Line(NamedTuple):
    """One line of a file.

    Args:
        number: From 1; None where those before it were not counted.
        offset: Of its first byte in the decompressed file.
        data: Its bytes, without the line feed; None if they are too many.
        ended: Whether a line feed ended it; only the last line of a file may lack it.
    """

    number: int | None
    offset: int
    data: bytes | None
    ended: bool = True


def read(
    path: Path, source: config.Source, piece: Piece | None = None
) -> Iterator[Text | Unreadable]:
    """Reads one file; a line that is no good costs only itself, blank lines count as nothing.

    Args:
        path: The file.
        source: Its source.
        piece: Reads the lines that begin in it, of a plain file; None: all.
    """
    extent = compressed.examine(path)
    if piece is None or piece.of == 1:
        found = lines(compressed.chunks(path, extent))
    else:
        found = _lines_of(path, piece)
    for line in found:
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


def _lines_of(path: Path, piece: Piece) -> Iterator[Line]:
    """The lines of a plain file that begin in a piece of it."""
    start, end = piece.bounds(path.stat().st_size)
    with path.open("rb") as file:
        # The line that begins before is another piece's, to its end.
        file.seek(max(0, start - 1))
        while start and (skipped := file.readline(compressed.PLAIN_CHUNK_BYTES)):
            if skipped.endswith(b"\n"):
                break
        first = file.tell() if start else 0
        for line in lines(iter(lambda: file.read(compressed.PLAIN_CHUNK_BYTES), b"")):
            if first + line.offset >= end:
                break
            number = line.number if piece.place == 0 else None
            yield line._replace(number=number, offset=first + line.offset)


def _parse(line: Line, source: config.Source) -> Text | Unreadable:
    """Reads one line as a row."""
    data = line.data or b""

    def unreadable(error: str, within: int = 0) -> Unreadable:
        return Unreadable(error, line.number, line.offset + within)

    try:
        decoded = data.decode(source.encoding)
        row = json.loads(decoded.removeprefix("\ufeff") if line.offset == 0 else decoded)
    except UnicodeDecodeError as error:
        return unreadable(f"not valid {source.encoding}", error.start)
    except json.JSONDecodeError as error:
        return unreadable(f"not valid JSON: {error.msg} at character {error.pos} of the line")
    except (RecursionError, ValueError):
        return unreadable("not valid JSON: too deep, or a number too long")
    found = rows.to_text(row, source.fields, source.encoding)
    return unreadable(found.error) if isinstance(found, Unreadable) else found
