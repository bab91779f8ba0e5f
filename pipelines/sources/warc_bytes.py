"""Decompressed bytes of a WARC file, member after member, with a note wherever some are lost.

A WARC file is usually one gzip member a record. A member is given out only when its checksum has
been seen, so that a damaged one costs itself alone; after it, reading goes on at the next member
that begins with a record.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

from pipelines.sources import compressed
from pipelines.sources.breaks import Break
from pipelines.sources.record import MAXIMUM_RECORD_BYTES

#: A member up to this many bytes is decompressed once and held; a larger one, twice.
HELD_BYTES = MAXIMUM_RECORD_BYTES + 2**20
COMPRESSED_CHUNK_BYTES = 2**16
PIECE_BYTES = 2**20

GZIP_MAGIC = b"\x1f\x8b\x08"
RECORD_MAGIC = b"WARC/"

CUT_SHORT = "the file ends in the middle of the gzip member at its byte {start}: cut short"
DAMAGED = "the gzip member at byte {start} of the file is damaged"
BOMB = "decompresses to more than {most} bytes: a decompression bomb?"


class _BombError(Exception):
    """More comes out than any text would give."""


def pieces(path: Path) -> Iterator[bytes | Break]:
    """Streams the decompressed bytes of a plain, `.gz` or `.zst` file."""
    if path.name.lower().endswith(".gz"):
        with path.open("rb") as file:
            yield from _Members(file, path.stat().st_size).read()
        return
    extent = compressed.examine(path)
    yield from compressed.chunks(path, extent)
    if extent.error:
        yield Break(extent.error)


class _Members:
    """The gzip members of a file.

    Args:
        file: The file, at its start.
        size: Its bytes.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.given = file, 0
        self.most = max(compressed.EXPANSION_ALWAYS_ALLOWED, compressed.MAXIMUM_EXPANSION * size)

    def read(self) -> Iterator[bytes | Break]:
        """Yields the bytes of every intact member, and a break for each that is not."""
        place: int | None = 0
        while place is not None and (start := self._after_padding(place)) is not None:
            try:
                place = yield from self._member(start)
            except zlib.error:
                yield Break(DAMAGED.format(start=start))
                place = self._next_member(start + 1)
            except _BombError:
                yield Break(BOMB.format(most=self.most))
                return

    def _member(self, start: int) -> Generator[bytes | Break, None, int | None]:
        """Yields what one member holds; returns where the next begins, or None at the end.

        Raises:
            zlib.error: It is damaged; nothing of it was given.
        """
        held: list[bytes] = []
        held_bytes = 0
        end = None
        for data, end in self._decompressed(start):  # noqa: B007 - the last one is used
            held_bytes += len(data)
            if held_bytes <= HELD_BYTES:
                held.append(data)
            if self.given + held_bytes > self.most:
                raise _BombError
        self.given += held_bytes
        if held_bytes <= HELD_BYTES:
            yield from held
        else:
            held.clear()
            for data, _ in self._decompressed(start):
                yield data
        if end is None:
            yield Break(CUT_SHORT.format(start=start), held_bytes)
        return end

    def _decompressed(self, start: int) -> Iterator[tuple[bytes, int | None]]:
        """Yields decompressed pieces of one member and, with the last, where the next begins.

        A member that the file does not hold to its end has no such place.
        """
        self.file.seek(start)
        member = zlib.decompressobj(wbits=31)
        read = start
        while not member.eof:
            packed = self.file.read(COMPRESSED_CHUNK_BYTES)
            read += len(packed)
            if not packed:
                yield b"", None
                return
            while packed and not member.eof:
                data = member.decompress(packed, PIECE_BYTES)
                packed = member.unconsumed_tail
                yield data, read - len(member.unused_data) if member.eof else None

    def _after_padding(self, start: int) -> int | None:
        """The first byte from `start` on that is not zero, as zeros may pad the file's end."""
        self.file.seek(start)
        while packed := self.file.read(COMPRESSED_CHUNK_BYTES):
            if rest := packed.lstrip(b"\0"):
                return start + len(packed) - len(rest)
            start += len(packed)
        return None

    def _next_member(self, start: int) -> int | None:
        """The next byte at which a gzip member begins that begins with a record."""
        self.file.seek(start)
        window = self.file.read(COMPRESSED_CHUNK_BYTES)
        while len(window) >= len(GZIP_MAGIC):
            found = window.find(GZIP_MAGIC)
            if found >= 0:
                if self._begins_record(start + found):
                    return start + found
                cut = found + 1
            else:
                cut = len(window) - len(GZIP_MAGIC) + 1
            start, window = start + cut, window[cut:]
            if found < 0:
                self.file.seek(start + len(window))
                window += self.file.read(COMPRESSED_CHUNK_BYTES)
        return None

    def _begins_record(self, start: int) -> bool:
        self.file.seek(start)
        try:
            data = zlib.decompressobj(wbits=31).decompress(self.file.read(512), len(RECORD_MAGIC))
        except zlib.error:
            return False
        return data == RECORD_MAGIC
