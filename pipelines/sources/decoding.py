"""Bytes of a whole file as text: by its byte order mark, what it declares, or what the run says."""

from __future__ import annotations

import codecs
from pathlib import Path

from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Unreadable, usable

#: UTF-32 goes before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_bytes(path: Path) -> bytes | Unreadable:
    """The content of a file, if it is not too large for one document."""
    with path.open("rb") as file:
        data = file.read(MAXIMUM_RECORD_BYTES + 1)
    if len(data) > MAXIMUM_RECORD_BYTES:
        return Unreadable(
            f"larger than {MAXIMUM_RECORD_BYTES} bytes, the most one document may have"
        )
    return data


def decode(data: bytes, encoding: str, declared: str | None = None) -> str | Unreadable:
    """Decodes a whole text; no encoding is guessed.

    Args:
        data: The bytes.
        encoding: What the run file says they are in.
        declared: What the file itself says, which goes before; one that is not known does not.
    """
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    chosen = marked or (declared if declared and _known(declared) else None) or encoding
    try:
        text = data.decode(chosen).removeprefix("\ufeff")
    except UnicodeError as error:
        return Unreadable(f"not valid {chosen}", offset=getattr(error, "start", None))
    if problem := usable(text):
        return Unreadable(problem)
    return text


def _known(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding)._is_text_encoding
    except (LookupError, ValueError):
        return False
