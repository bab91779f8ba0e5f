"""Bytes to take by the line or by the count, with the places where some are missing."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources.breaks import Break


class ByteStream:
    """Bytes up to the next break, and after it those up to the one after.

    Args:
        pieces: Bytes and breaks.

    Attributes:
        offset: How many bytes were taken or passed over.
    """

    def __init__(self, pieces: Iterator[bytes | Break]) -> None:
        self._pieces = pieces
        self._buffer = bytearray()
        self._broken: Break | None = None
        self._ended = False
        self.offset = 0

    @property
    def at_break(self) -> bool:
        """Whether bytes are missing after those that are left."""
        return self._broken is not None

    def resume(self) -> Break | None:
        """Forgets what is left before a break and goes on after it; None: there is no break."""
        broken, self._broken = self._broken, None
        if broken:
            self._drop(len(self._buffer))
        return broken

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or as many as there are."""
        while len(self._buffer) < size and self._fill():
            pass
        taken = bytes(self._buffer[:size])
        self._drop(len(taken))
        return taken

    def skip(self, size: int) -> int:
        """Passes over `size` bytes without holding them; returns how many there were."""
        left = size
        while left and (self._buffer or self._fill()):
            step = min(left, len(self._buffer))
            self._drop(step)
            left -= step
        return size - left

    def line(self, most: int) -> bytes:
        """The next line with its end, or `most` bytes, or what there is."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched, most)) < 0:
            searched = len(self._buffer)
            if searched >= most or not self._fill():
                return self.take(most)
        return self.take(end + 1)

    def put_back(self, data: bytes) -> None:
        """Makes `data`, taken just before, the next bytes again."""
        self._buffer[:0] = data
        self.offset -= len(data)

    def skip_blank(self) -> None:
        """Passes over line ends."""
        while self._buffer or self._fill():
            self._drop(len(self._buffer) - len(self._buffer.lstrip(b"\r\n")))
            if self._buffer:
                return

    def ends_record(self, magic: bytes) -> bool:
        """Whether two line ends come next; or fewer, and then `magic` or nothing."""
        while len(self._buffer) < len(magic) + 4 and self._fill():
            pass
        head = bytes(self._buffer[: len(magic) + 4])
        after = head.lstrip(b"\r\n")
        return head.startswith((b"\r\n\r\n", b"\n\n")) or not after or after.startswith(magic)

    def skip_to(self, marker: bytes) -> None:
        """Passes over everything up to the second byte of `marker`, or to a break or the end."""
        while (found := self._buffer.find(marker)) < 0:
            self._drop(max(0, len(self._buffer) - len(marker) + 1))
            if not self._fill():
                self._drop(len(self._buffer))
                return
        self._drop(found + 1)

    def _fill(self) -> bool:
        """Gets one more piece; False at a break and at the end."""
        if self._ended or self._broken:
            return False
        piece = next(self._pieces, None)
        if isinstance(piece, bytes):
            self._buffer += piece
            return True
        self._broken, self._ended = piece, piece is None
        return False

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self.offset += size
