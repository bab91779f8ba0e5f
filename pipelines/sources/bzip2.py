"""Decompressed bytes of a bzip2 file of one or many streams, with a note wherever some are lost.

A block of bzip2 has a checksum of its own, and its bytes are given out only when that was right. A
damaged block costs the rest of its stream; dumps "multistream" begin a new one every 100 pages.
"""

from __future__ import annotations

import bz2
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipelines.sources import compressed
from pipelines.sources.breaks import Break

#: A block has at most 900 kB, but a run of equal bytes before its coding counts as five of up to
#: 255: so much must one call be able to give out, lest bytes come before their checksum.
BLOCK_BYTES = 52 * 900_000
COMPRESSED_CHUNK_BYTES = 2**16
PIECE_BYTES = 2**20

_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_STREAM_BYTES = 10

CUT_SHORT = "the file ends in the middle of the bzip2 stream at its byte {start}: cut short"
DAMAGED = "the bzip2 stream at byte {start} of the file is damaged"
BOMB = "decompresses to more than {most} bytes: a decompression bomb?"


class _DamagedError(Exception):
    """A stream's data are not what they were."""


def pieces(path: Path) -> Iterator[bytes | Break]:
    """Streams the decompressed bytes of a file, and a break for every stream that is not whole."""
    most = max(
        compressed.EXPANSION_ALWAYS_ALLOWED, compressed.MAXIMUM_EXPANSION * path.stat().st_size
    )
    given = 0
    start: int | None = 0
    with path.open("rb") as file:
        while start is not None:
            try:
                after: int | None = start
                for data, after in _stream(file, start):  # noqa: B007 - the last one is used
                    given += len(data)
                    if given > most:
                        yield Break(BOMB.format(most=most))
                        return
                    yield from (
                        data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)
                    )
                if after == start:  # nothing left
                    return
            except _DamagedError:
                yield Break(DAMAGED.format(start=start))
                after = _next_stream(file, start + 1)
            except EOFError:
                yield Break(CUT_SHORT.format(start=start))
                return
            start = after


def _stream(file: IO[bytes], start: int) -> Iterator[tuple[bytes, int]]:
    """Yields pieces of one stream and where the next begins: known only with the last.

    Raises:
        _DamagedError: It is no stream, or a block of it is damaged.
        EOFError: The file ends before it does.
    """
    file.seek(start)
    stream = bz2.BZ2Decompressor()
    read = start
    while not stream.eof:
        packed = file.read(COMPRESSED_CHUNK_BYTES) if stream.needs_input else b""
        if stream.needs_input and not packed:
            if read == start:
                yield b"", start
                return
            raise EOFError
        read += len(packed)
        try:
            data = stream.decompress(packed, BLOCK_BYTES)
        except (OSError, ValueError):
            raise _DamagedError from None
        yield data, read - len(stream.unused_data)


def _next_stream(file: IO[bytes], start: int) -> int | None:
    """The next byte at which a stream begins."""
    file.seek(start)
    window = b""
    while packed := file.read(COMPRESSED_CHUNK_BYTES):
        window += packed
        if found := _STREAM.search(window):
            return start + found.start()
        kept = window[1 - _STREAM_BYTES :]
        start, window = start + len(window) - len(kept), kept
    return None
