"""Bytes of plain, gzip and zstandard files, and how much of a damaged one is to be trusted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

#: Bytes read at once. A zstandard block of 4 bytes can hold 128 KiB: more would let one read fill
#: the memory.
COMPRESSED_CHUNK_BYTES = 4096
PLAIN_CHUNK_BYTES = 2**20

#: Text shrinks to a third or a tenth. A file that grows more than this is no text but a bomb.
MAXIMUM_EXPANSION = 200
#: Small files may grow to this whatever their ratio, in bytes.
EXPANSION_ALWAYS_ALLOWED = 64 * 2**20


class Extent(NamedTuple):
    """How many decompressed bytes of a file can be trusted, and what is wrong with the rest."""

    intact_bytes: int | None
    error: str = ""


WHOLE = Extent(None)


def examine(path: Path) -> Extent:
    """Decompresses a file once, keeping nothing, to learn what of it is intact.

    A file cut short is intact up to the cut. A damaged member (gzip) or frame (zstandard) shows
    only at its checksum, after its content: nothing of it is trusted, but those before it are.
    Plain files have nothing to examine.
    """
    new = _decompressor(path)
    if new is None:
        return WHOLE
    most = most_bytes(path)
    total = intact = 0
    try:
        for data, ends_member in _decompress(path, new):
            total += len(data)
            intact = total if ends_member else intact
            if total > most:
                return Extent(0, f"decompresses to more than {most} bytes: a decompression bomb?")
    except EOFError:
        return Extent(total, "ends in the middle of its compressed data: cut short")
    except (zlib.error, zstandard.ZstdError):
        return Extent(intact, "compressed data are damaged")
    return WHOLE


def most_bytes(path: Path) -> int:
    """The most that a file may unpack to; more is no text but a bomb."""
    return max(EXPANSION_ALWAYS_ALLOWED, MAXIMUM_EXPANSION * path.stat().st_size)


def chunks(path: Path, extent: Extent) -> Iterator[bytes]:
    """Streams the decompressed bytes of a file, up to its intact extent."""
    new = _decompressor(path)
    everything = _plain(path) if new is None else (data for data, _ in _decompress(path, new))
    if extent.intact_bytes is None:
        yield from everything
        return
    left = extent.intact_bytes
    while left > 0:  # not one byte is asked for beyond the last that is intact
        data = next(everything)[:left]
        left -= len(data)
        yield data


def _decompressor(path: Path) -> Callable[[], Any] | None:
    """The maker of a decompressor for one member, by the file's name; None for plain files."""
    name = path.name.lower()
    if name.endswith((".gz", ".tgz")):
        return lambda: zlib.decompressobj(wbits=31)
    if name.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj
    return None


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(PLAIN_CHUNK_BYTES):
            yield data


def _decompress(path: Path, new: Callable[[], Any]) -> Iterator[tuple[bytes, bool]]:
    """Yields decompressed bytes and whether a member ends with them.

    Raises:
        EOFError: The file ends inside a member.
    """
    member = None
    with path.open("rb") as file:
        while data := file.read(COMPRESSED_CHUNK_BYTES):
            while data:
                if member is None:
                    # Zeros may pad a gzip file to a block of its medium.
                    data = data.lstrip(b"\0")
                    member = new() if data else None
                    continue
                decompressed = member.decompress(data)
                yield decompressed, member.eof
                data = member.unused_data if member.eof else b""
                member = None if member.eof else member
    if member is not None:
        raise EOFError
