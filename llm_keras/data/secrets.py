"""Keys, tokens and passwords in texts.

They are known by what services put in front of them, or by a name that stands before them and how
random they are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple


class _Form(NamedTuple):
    """How one kind of secret is written.

    Args:
        mark: What stands in each of them: texts without it need no search.
        pattern: The secret; its first group, if there is one, is what is replaced.
    """

    mark: str
    pattern: re.Pattern[str]


def _form(mark: str, pattern: str) -> _Form:
    # Starts where no longer word of this kind is being read: a long run is looked at once.
    return _Form(mark, re.compile(r"(?<![A-Za-z0-9_-])" + pattern))


_FORMS = (
    *(
        _form(mark, mark + "[A-Z0-9]{16}(?![A-Za-z0-9])")
        for mark in ("AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ABIA", "ACCA")
    ),
    *(_form(f"gh{kind}_", f"gh{kind}_[A-Za-z0-9]{{30,255}}") for kind in "opusr"),
    _form("github_pat_", r"github_pat_\w{22,255}"),
    _form("glpat-", r"glpat-[\w-]{20,100}"),
    _form("eyJ", r"eyJ[\w-]{8,4096}\.eyJ[\w-]{8,8192}\.[\w-]{8,2048}"),
    _form("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    _form("xapp-", r"xapp-[A-Za-z0-9-]{10,250}"),
    _form("hooks.slack.com", r"hooks\.slack\.com/services/T\w{5,20}/B\w{5,20}/\w{10,40}"),
    _form("AIza", r"AIza[\w-]{35}"),
    _form("ya29.", r"ya29\.[\w-]{20,400}"),
    _form("_live_", r"[rs]k_live_[A-Za-z0-9]{16,250}"),
    _form("_test_", r"[rs]k_test_[A-Za-z0-9]{16,250}"),
    _form("sk-", r"sk-[A-Za-z0-9_-]{20,250}"),
    _form("npm_", r"npm_[A-Za-z0-9]{36}"),
    _form("pypi-", r"pypi-[\w-]{50,400}"),
    _form("hf_", r"hf_[A-Za-z0-9]{30,50}"),
    _form("SG.", r"SG\.[\w-]{16,40}\.[\w-]{16,64}"),
    _form("AccountKey=", r"AccountKey=([A-Za-z0-9+/=]{40,128})"),
    # User and password in an address.
    _Form("://", re.compile(r"(?<=://)([^\s:/@\"'<>]{1,64}:[^\s/@\"'<>]{1,128})(?=@)")),
)
_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
#: A line of a key that has no end: base 64, or a header.
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]*={0,2}|[A-Z][A-Za-z-]{1,30}: .*")
#: What is assigned, and the name before it.
_VALUE = re.compile(
    r"(?::=|=>|=|:)[ \t]{0,4}(?:(?i:bearer|basic)[ \t])?"
    r"(?P<quote>[\"'`]?)(?P<value>[^\s\"'`<>(){}\[\],;]{8,512})(?P=quote)"
)
_NAME = re.compile(
    r"(?i:secret|token|password|passwd|pwd|credential|auth"
    r"|(?:api|access|private|account|signing|encryption|client)[_-]?key)"
    r"[\w.-]{0,24}[\"']?[ \t]{0,4}\Z"
)
_NAME_CHARACTERS = 48
_BEARER = re.compile(r"(?<!\w)(?i:bearer)[ \t](?P<value>[A-Za-z0-9._~+/=-]{20,512})")
_PLACEHOLDER = re.compile(
    r"(?i:^(?:your|example|placeholder|change_?me|env|null|none|process\.|[$%])|xxxx|\.\.\.|\*\*\*)"
)


def find_keys(text: str) -> Iterator[tuple[int, int]]:
    """Keys, tokens, passwords that are assigned, and blocks of private keys."""
    for mark, pattern in _FORMS:
        if mark in text:
            for match in pattern.finditer(text):
                yield match.span(match.lastindex or 0)
    if "PRIVATE KEY" in text:
        yield from _key_blocks(text)
    for match in _VALUE.finditer(text):
        before = text[max(0, match.start() - _NAME_CHARACTERS) : match.start()]
        if _NAME.search(before) and _is_secret(match["value"], quoted=bool(match["quote"])):
            yield match.span("value")
    if "earer" in text or "EARER" in text:
        for match in _BEARER.finditer(text):
            if _is_secret(match["value"], quoted=False):
                yield match.span("value")


def _key_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Private keys; one without an end goes as far as its lines look like one."""
    begin = _KEY_BLOCK.search(text)
    end = begin and _KEY_END.search(text, begin.end())
    while begin:
        if end and end.start() < begin.end():
            end = _KEY_END.search(text, begin.end())
        following = _KEY_BLOCK.search(text, begin.end())
        if end and (following is None or end.start() < following.start()):
            stop = end.end()
        else:
            limit = following.start() if following else len(text)
            stop = _end_of_lines(text, begin.end(), limit)
        yield begin.start(), stop
        begin = following


def _end_of_lines(text: str, start: int, limit: int) -> int:
    """Where lines of base 64, and headers of a key, stop."""
    place = start
    while place < limit:
        line_end = text.find("\n", place, limit)
        line = text[place : limit if line_end < 0 else line_end]
        if line.strip() and not _KEY_LINE.fullmatch(line.strip()):
            break
        place = limit if line_end < 0 else line_end + 1
    return place


def _is_secret(value: str, *, quoted: bool) -> bool:
    """Whether a value that was assigned to such a name is random, or at least a quoted password.

    Words and names of variables have few bits a character and seldom a digit; 3 bits is what 16
    characters drawn from hexadecimal digits have at the least, almost always.
    """
    if _PLACEHOLDER.search(value):
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if len(value) < 16:
        return quoted and digits > 0 and letters > 0
    return digits > 1 and letters > 1 and entropy(value) >= 3.0


def entropy(text: str) -> float:
    """Shannon's entropy of the characters, in bits a character.

    >>> entropy("aabb")
    1.0
    """
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())
