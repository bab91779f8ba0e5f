"""Writes WARC records, each a gzip member of its own.

References:
    ISO 28500:2017, WARC file format 1.1, sections 4 to 6 and annex D.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import uuid

RESPONSE_TYPE = "application/http; msgtype=response"
FIELDS_TYPE = "application/warc-fields"


def record(kind: str, date: str, content_type: str, block: bytes, uri: str | None = None) -> bytes:
    """One record, compressed.

    Args:
        kind: `warcinfo`, `response`, `metadata`.
        date: When it was made: UTC, as `2026-01-31T12:00:00Z`.
        content_type: Of the block.
        block: Its content.
        uri: What it is about.

    The id follows from address and content, so that the same page fetched again is the same.
    """
    digest = hashlib.sha1(block, usedforsecurity=False).digest()
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {uri or ''} {digest.hex()}")
    fields = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<urn:uuid:{name}>"),
        ("WARC-Date", date),
        *([("WARC-Target-URI", uri)] if uri else []),
        ("WARC-Block-Digest", f"sha1:{base64.b32encode(digest).decode()}"),
        ("Content-Type", content_type),
        ("Content-Length", str(len(block))),
    ]
    head = "WARC/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields) + "\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)
