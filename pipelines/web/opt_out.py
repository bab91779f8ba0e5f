"""Pages that say they are not to train on.

Honoured are `noai` and `noml` among robots directives (header `X-Robots-Tag`, meta `robots`, for
whatever agent they are meant), a reservation of text and data mining (header or meta
`tdm-reservation: 1`), and `train-ai=n` in `Content-Usage`.

References:
    TDM Reservation Protocol (W3C community group report, 2024), sections 5.2 and 5.3; DeviantArt's
    `noai` (2022); Mojeek's `noml` (2023); IETF draft-ietf-aipref-attach, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REASON = "opt_out"

#: Metadata that stands after this many characters of a page is not looked for.
HEAD_CHARACTERS = 2**17

_DIRECTIVES = frozenset(("noai", "noml"))
_META = re.compile(r"<meta\b([^<>]{0,2000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\b(name|content)\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_SEPARATOR = re.compile(r"[\s,;:]+")
_ROBOTS = frozenset(("robots", "x-robots-tag"))
_RESERVATION = "tdm-reservation"


def in_headers(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the headers of a response, names in lower case, opt out."""
    return any(_says_no(name, value) for name, value in headers)


def in_html(html: str) -> bool:
    """Whether the metadata of a page opt out.

    >>> in_html('<meta content="noai, noimageai" name="robots">')
    True
    """
    for tag in _META.finditer(html, 0, HEAD_CHARACTERS):
        pairs = {
            found[1].lower(): found[2] or found[3] or found[4] or ""
            for found in _ATTRIBUTE.finditer(tag[1])
        }
        if _says_no(pairs.get("name", "").strip().lower(), pairs.get("content", "")):
            return True
    return False


def _says_no(name: str, value: str) -> bool:
    value = value.strip().lower()
    if name == _RESERVATION:
        return value == "1"
    if name == "content-usage":
        return "train-ai=n" in value.replace(" ", "")
    return name in _ROBOTS and not _DIRECTIVES.isdisjoint(_SEPARATOR.split(value))
