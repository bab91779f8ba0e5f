"""HTTP responses as they came over the wire: head, and body without its codings.

Archives keep either the bytes of the wire or a body that the crawler has decoded, with the header
unchanged. A body that does not begin as its header says is therefore taken as decoded already; one
that begins so and then breaks is damaged.

References:
    RFC 9112, HTTP/1.1, sections 4 (status line), 5 (fields), 7.1 (chunked); RFC 9110, section 8.4
    (content codings).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import brotli
import zstandard

MAXIMUM_HEAD_BYTES = 2**16
MAXIMUM_CODINGS = 3
_CHUNK_LINE_BYTES = 4096

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t][^\r\n]*)?")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?")


class MessageError(ValueError):
    """A message is not what it should be; says why, and nothing of its content."""


class Response(NamedTuple):
    """A response.

    Args:
        status: Its code.
        headers: Names, lower case, and values in their order.
        body: What came after the head.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a field."""
        return next((value for each, value in self.headers if each == name), None)

    def values(self, name: str) -> list[str]:
        """All values of a field, those of lists one by one, in lower case."""
        lists = [value for each, value in self.headers if each == name]
        parts = (part.strip().lower() for value in lists for part in value.split(","))
        return [part for part in parts if part]


def parse(message: bytes) -> Response:
    """Splits a message; interim responses (1xx) before the final one are passed over.

    Raises:
        MessageError: It is no HTTP response, or has no whole head.
    """
    while True:
        end = _END_OF_HEAD.search(message, 0, MAXIMUM_HEAD_BYTES)
        if end is None:
            raise MessageError("an HTTP response without the blank line that ends its head")
        status, *lines = re.split(rb"\r?\n", message[: end.start()])
        found = _STATUS.fullmatch(status)
        if found is None:
            raise MessageError("expected an HTTP response, found no status line")
        message = message[end.end() :]
        if not found[1].startswith(b"1"):
            return Response(int(found[1]), _fields(lines), message)


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """Names and values; what has no colon or no name is passed over, as browsers do."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if fields:
                name, value = fields[-1]
                fields[-1] = name, f"{value} {line.decode('latin-1').strip()}"
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and name.strip():
            fields.append((name.strip().lower(), value.strip()))
    return fields


def content(response: Response, maximum_bytes: int) -> bytes:
    """The body without its codings.

    Args:
        response: The response.
        maximum_bytes: Most that it may have; a few bytes can decompress to gigabytes.

    Raises:
        MessageError: It is cut short, damaged, too long, or coded in an unknown way.
    """
    body = response.body
    codings = [*response.values("content-encoding"), *response.values("transfer-encoding")]
    codings = [each.removeprefix("x-") for each in codings if each != "identity"]
    if len(codings) > MAXIMUM_CODINGS:
        raise MessageError(f"coded more than {MAXIMUM_CODINGS} times over")
    if "chunked" not in codings:
        _check_length(response)
    for coding in reversed(codings):
        if coding == "chunked":
            first = body[:_CHUNK_LINE_BYTES].partition(b"\n")[0]
            body = dechunk(body) if _CHUNK.fullmatch(first) else body
        elif coding in _DECODERS:
            body = _DECODERS[coding](body, maximum_bytes)
        elif not _looks_plain(body):  # servers write utf-8, none and more in that field
            raise MessageError("a content coding that is not known")
    if len(body) > maximum_bytes:
        raise MessageError(f"a body of more than {maximum_bytes} bytes")
    return body


def _check_length(response: Response) -> None:
    """Refuses a body that is shorter than its header says.

    A coded body that an archive has decoded may be shorter than it was.
    """
    length = response.header("content-length") or ""
    coded = response.values("content-encoding") and not response.body.startswith(_MAGIC)
    if length.isascii() and length.isdigit() and len(length) < 19 and not coded:
        expected, found = int(length), len(response.body)
        if found < expected:
            raise MessageError(f"a body of {found} bytes, expected {expected}: cut short")


def dechunk(body: bytes) -> bytes:
    r"""Puts the chunks of a chunked body together.

    >>> dechunk(b"4\r\nWiki\r\n5;x=1\r\npedia\r\n0\r\n\r\n")
    b'Wikipedia'

    Raises:
        MessageError: It ends before its last chunk, or a chunk is not as long as it says.
    """
    parts: list[bytes] = []
    position = 0
    while True:
        end = body.find(b"\n", position, position + _CHUNK_LINE_BYTES)
        size = _CHUNK.fullmatch(body, position, end) if end >= 0 else None
        if size is None:
            what = "is damaged" if len(body) - position >= _CHUNK_LINE_BYTES else "is cut short"
            raise MessageError(f"a chunked body {what if end < 0 else 'is damaged'}")
        length, position = int(size[1], 16), end + 1
        if not length:
            return b"".join(parts)
        if position + length > len(body):
            raise MessageError("a chunked body is cut short")
        parts.append(body[position : position + length])
        position += length
        if body.startswith(b"\r\n", position):
            position += 2
        elif body.startswith(b"\n", position):
            position += 1
        else:
            what = "is damaged" if position + 1 < len(body) else "is cut short"
            raise MessageError(f"a chunked body {what}")


_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def _gzip(body: bytes, maximum_bytes: int) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    parts, left = [], maximum_bytes
    while body.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(wbits=31)
        data = _inflate(member, body, left)
        parts.append(data)
        left, body = left - len(data), member.unused_data
    return b"".join(parts)  # what follows the last member is padding


def _deflate(body: bytes, maximum_bytes: int) -> bytes:
    """Zlib's format as RFC 9110 has it, or the bare stream as some servers send it."""
    if _looks_plain(body):
        return body
    try:
        return _inflate(zlib.decompressobj(), body, maximum_bytes)
    except zlib.error:
        return _inflate(zlib.decompressobj(wbits=-15), body, maximum_bytes)


def _looks_plain(body: bytes) -> bool:
    """Whether a body begins as pages do, and no compressed data."""
    return not body or body[:1].isspace() or body.startswith((b"<", b"\xef\xbb\xbf"))


def _inflate(member: Any, body: bytes, maximum_bytes: int) -> bytes:
    data: bytes = member.decompress(body, maximum_bytes + 1)
    if len(data) > maximum_bytes:
        raise MessageError(f"a body decompresses to more than {maximum_bytes} bytes")
    if not member.eof:
        raise MessageError("a compressed body is cut short")
    return data


def _brotli(body: bytes, maximum_bytes: int) -> bytes:
    """Brotli has no magic: what it cannot decompress and looks like a page was decoded already."""
    if _looks_plain(body):
        return body
    member = brotli.Decompressor()
    parts, total, rest = [], 0, body
    while not member.is_finished():
        data = member.process(rest, output_buffer_limit=2**20)
        rest, total = b"", total + len(data)
        parts.append(data)
        if total > maximum_bytes:
            raise MessageError(f"a body decompresses to more than {maximum_bytes} bytes")
        if not data and member.can_accept_more_data():
            raise MessageError("a compressed body is cut short")
    return b"".join(parts)


def _zstd(body: bytes, maximum_bytes: int) -> bytes:
    if not body.startswith(b"\x28\xb5\x2f\xfd"):
        return body
    reader = zstandard.ZstdDecompressor(max_window_size=2**23).stream_reader(body)
    data: bytes = reader.read(maximum_bytes + 1)
    if len(data) > maximum_bytes:
        raise MessageError(f"a body decompresses to more than {maximum_bytes} bytes")
    return data


def _checked(decode: Callable[[bytes, int], bytes]) -> Callable[[bytes, int], bytes]:
    """Turns the errors of decompressors into one of a message."""

    def decoded(body: bytes, maximum_bytes: int) -> bytes:
        try:
            return decode(body, maximum_bytes)
        except (zlib.error, brotli.error, zstandard.ZstdError):
            raise MessageError("a compressed body is damaged") from None

    return decoded


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _checked(_gzip),
    "deflate": _checked(_deflate),
    "br": _checked(_brotli),
    "zstd": _checked(_zstd),
}
