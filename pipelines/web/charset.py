"""Bytes of a page to text: which encoding it is in, by what it says and by what it looks like.

In this order: a byte order mark, the HTTP header, a `meta` or XML declaration in the first
kilobyte, strict UTF-8, a guess from the bytes themselves. What a page says is believed if nearly
all of its bytes are valid so: some pages say one encoding and are written in another.

References:
    WHATWG Encoding, sections 4.2 (names and labels) and 6 (byte order mark); WHATWG HTML, section
    13.2.3 (determining the character encoding).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

import cchardet

#: Share of characters that may be invalid in the encoding that a page says it is in.
MAXIMUM_INVALID = 1e-3
#: Bytes looked at for a declaration: HTML's limit, and as much for pages that overstep it.
PRESCAN_BYTES = 2048
#: Bytes that a guess looks at.
GUESS_BYTES = 2**17

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""<(?:meta\b[^>]{0,500}?\bcharset|\?xml\b[^>]{0,200}?\bencoding)"""
    rb"""\s{0,20}=\s{0,20}["']?\s{0,20}([A-Za-z0-9_:.+-]{1,40})""",
    re.IGNORECASE,
)
_IN_HEADER = re.compile(r"""charset\s{0,9}=\s{0,9}["']?([A-Za-z0-9_:.+-]{1,40})""", re.IGNORECASE)

#: Labels whose encoding on the web is another than their name's: a superset of it.
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "utf-16": "utf-16-le",
}
#: Python's names of the encodings that pages may be in. Not those that run over other codings or
#: decompress, which Python also has under names that a page could give.
_ALLOWED = frozenset(
    (
        *("utf-8", "utf-16-le", "utf-16-be", "cp866", "cp874", "cp932", "cp949", "gb18030"),
        *(f"cp125{number}" for number in range(9)),
        *(f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
        *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "euc_jp", "iso2022_jp", "big5hkscs"),
        *("big5", "johab", "hz"),
    )
)


def decode(data: bytes, content_type: str | None = None) -> str | None:
    """Decodes a page; None if it is in no encoding that fits it.

    Args:
        data: Its bytes.
        content_type: What the HTTP header says, such as `text/html; charset=utf-8`.

    >>> decode("café".encode("latin-1"), "text/html; charset=ISO-8859-1")
    'café'
    """
    for encoding in _declared(data, content_type):
        text = data.decode(encoding, "replace")
        if text.count("\ufffd") <= MAXIMUM_INVALID * len(text):
            return text.removeprefix("\ufeff")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guess(data)


def encoding_of(label: str) -> str | None:
    """Python's name of the encoding that a page means by `label`; None if there is none such.

    >>> encoding_of("Latin1"), encoding_of("GB2312"), encoding_of("hex")
    ('cp1252', 'gb18030', None)
    """
    try:
        name = codecs.lookup(label.strip().removeprefix("x-")).name
    except (LookupError, ValueError):
        return None
    name = _SUPERSETS.get(name, name)
    return name if name in _ALLOWED else None


def _declared(data: bytes, content_type: str | None) -> Iterator[str]:
    """The encodings that the page names, the most trusted first."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            yield encoding
    labels = _IN_HEADER.findall(content_type or "")
    # A declaration that could be read is in no encoding of two bytes a character.
    inside = [label.decode("ascii") for label in _DECLARED.findall(data, 0, PRESCAN_BYTES)]
    if labels and (outside := encoding_of(labels[0])):
        yield outside
    if inside and (declared := encoding_of(inside[0])):
        yield "utf-8" if declared.startswith("utf-16") else declared


def _guess(data: bytes) -> str | None:
    """Decodes by what the bytes look like; Western European if they look like nothing else."""
    guessed = cchardet.detect(data[:GUESS_BYTES])["encoding"]
    for encoding in (encoding_of(guessed or ""), "cp1252"):
        if encoding:
            text = data.decode(encoding, "replace")
            if text.count("\ufffd") <= MAXIMUM_INVALID * len(text):
                return text
    return None
