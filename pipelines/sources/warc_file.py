"""Records of a WARC file: each is whole, or known not to be.

    WARC/1.0 CRLF  (name: value CRLF)*  CRLF  Content-Length bytes  CRLF CRLF

A record is whole if its Content-Length leads to its end, and its gzip member to a checksum that is
right. After one that is not, reading goes on at the next line that begins with `WARC/1.`.

References:
    ISO 28500:2017, WARC file format 1.1, sections 4 (records), 5 (named fields) and annex D.3
    (a gzip member for each record).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.sources import warc_bytes
from pipelines.sources.byte_stream import ByteStream
from pipelines.sources.record import MAXIMUM_RECORD_BYTES

MAXIMUM_HEADER_BYTES = 2**16
#: Damages after which the rest of a file is given up: searching for the next record costs time.
MAXIMUM_DAMAGES = 100

_VERSION = re.compile(rb"WARC/\d{1,2}\.\d{1,2}[ \t]*\r?\n")
_VERSION_BYTES = 64
_NEXT_RECORD = b"\nWARC/1."
_LENGTH = re.compile(r"[0-9]{1,18}")


class Record(NamedTuple):
    """One record.

    Args:
        headers: Its named fields, names in lower case; of equal names the first.
        content: Its block; None if that is longer than `MAXIMUM_RECORD_BYTES`.
        offset: Of its first byte in the decompressed file, without what was damaged.
    """

    headers: dict[str, str]
    content: bytes | None
    offset: int

    @property
    def type(self) -> str:
        """What kind of record it is: response, warcinfo, ..."""
        return self.headers.get("warc-type", "").lower()

    @property
    def id(self) -> str | None:
        """Its WARC-Record-ID without the brackets and the scheme; unique in the file."""
        return _bare(self.headers.get("warc-record-id", "")).removeprefix("urn:uuid:") or None

    @property
    def target_uri(self) -> str | None:
        """The address that it was fetched from. Some writers put it in angle brackets."""
        return _bare(self.headers.get("warc-target-uri", "")) or None

    @property
    def is_altered(self) -> bool:
        """Whether its content does not fit its SHA-1; other digests are not looked at."""
        kind, _, digest = self.headers.get("warc-block-digest", "").partition(":")
        if kind.lower() != "sha1" or len(digest) != 32 or self.content is None:
            return False
        found = hashlib.sha1(self.content, usedforsecurity=False).digest()
        return base64.b32encode(found).decode() != digest.upper()


class Damage(NamedTuple):
    """A record, or a place between records, that cannot be trusted.

    Args:
        error: What is wrong.
        offset: Where, counted as of records.
        doubtful_from: From which byte on nothing before it is proven.
    """

    error: str
    offset: int
    doubtful_from: int


class _DamagedError(Exception):
    """A record is not as it should be; says why."""


class _BrokenOffError(Exception):
    """A record goes on where bytes are missing."""


def records(path: Path) -> Iterator[Record | Damage]:
    """Streams the records of a file, holding two at most.

    The last record of a gzip member that lacks its end is not trusted, however whole it looks.
    """
    held: Record | None = None
    for found in _found(ByteStream(warc_bytes.pieces(path))):
        if isinstance(found, Damage) and held and held.offset >= found.doubtful_from:
            held = None
        if held:
            yield held
        held = found if isinstance(found, Record) else None
        if isinstance(found, Damage):
            yield found
    if held:
        yield held


def _found(stream: ByteStream) -> Iterator[Record | Damage]:
    """Yields records and damages, the last record of a doubtful member too."""
    for _ in range(MAXIMUM_DAMAGES):
        while True:
            stream.skip_blank()
            start = stream.offset
            try:
                record = _record(stream)
            except _DamagedError as error:
                yield Damage(str(error), start, start)
                stream.skip_to(_NEXT_RECORD)
                break
            except _BrokenOffError:
                record = None
            if record:
                yield record
            elif broken := stream.resume():
                yield Damage(broken.error, start, stream.offset - broken.doubtful_bytes)
                break
            else:
                return
    given_up = f"{MAXIMUM_DAMAGES} damages: the rest of the file was given up"
    yield Damage(given_up, stream.offset, stream.offset)


def _record(stream: ByteStream) -> Record | None:
    """Reads the next record; None where there is none.

    Raises:
        _DamagedError: It is not whole; reading may go on from here.
        _BrokenOffError: Bytes are missing before its end.
    """
    start = stream.offset
    version = stream.line(_VERSION_BYTES)
    if not version:
        return None
    if not _VERSION.fullmatch(version):
        if len(version) < _VERSION_BYTES and not version.endswith(b"\n"):
            raise _ended(stream)
        stream.put_back(version[1:])
        raise _DamagedError("expected a record, which begins with WARC/ and a version")
    headers = _headers(stream)
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length):
        raise _DamagedError("a record has no Content-Length that is a number")
    return Record(headers, _content(stream, int(length)), start)


def _content(stream: ByteStream, length: int) -> bytes | None:
    """Reads a block of `length` bytes, which must lead to the end of its record."""
    content = None
    if length > MAXIMUM_RECORD_BYTES:
        if stream.skip(length) < length:
            raise _ended(stream)
    else:
        content = stream.take(length)
        if len(content) < length:
            error = _ended(stream)
            stream.put_back(content)  # a wrong length may have swallowed other records
            raise error
    if not stream.ends_record(warc_bytes.RECORD_MAGIC):
        stream.put_back(content or b"")
        raise _DamagedError(f"a record does not end after its Content-Length of {length} bytes")
    return content


def _headers(stream: ByteStream) -> dict[str, str]:
    """Reads named fields up to the blank line; a line that begins with a space continues one."""
    headers: dict[str, str] = {}
    name, left = "", MAXIMUM_HEADER_BYTES
    while (line := stream.line(left)) not in (b"\r\n", b"\n"):
        left -= len(line)
        if left <= 0:
            raise _DamagedError(f"a record's header is longer than {MAXIMUM_HEADER_BYTES} bytes")
        if not line.endswith(b"\n"):
            raise _ended(stream)
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[:1] in (" ", "\t"):
            if name:
                headers[name] += " " + text.strip()
            continue
        name, colon, value = text.partition(":")
        if not colon:
            raise _DamagedError("a line of a record's header has no colon")
        name = name.strip().lower()
        if name in headers:
            name = ""  # and lines that continue it are none of the first's
        else:
            headers[name] = value.strip()
    return headers


def _ended(stream: ByteStream) -> Exception:
    """What to raise where the bytes end inside a record."""
    if stream.at_break:
        return _BrokenOffError()
    return _DamagedError("the file ends in the middle of a record: cut short")


def _bare(uri: str) -> str:
    return uri[1:-1] if uri.startswith("<") and uri.endswith(">") else uri
