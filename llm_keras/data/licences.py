"""Licences: which one a text is, and whether an SPDX expression allows what is wanted.

References:
    SPDX specification 2.3, annex D (expressions); SPDX License List (names).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

#: An expression longer, or of more brackets within brackets, than this is no licence tag.
MAXIMUM_EXPRESSION_CHARACTERS, MAXIMUM_BRACKETS = 400, 20

_START_CHARACTERS = 1000

_WORD = re.compile(r"[()]|[^\s()]+")
_HEADER = re.compile(r"SPDX-License-Identifier:[ \t]*([^\n]{1,400})")
#: What closes a comment that a header stands in.
_COMMENT_END = re.compile(r"\s*(\*/|-->|\*\)|#\}|\"\"\"|''').*$")


class _MalformedError(Exception):
    """No SPDX expression."""


def allowed(expression: str, wanted: Collection[str]) -> bool:
    """Whether one may use what is under `expression` if the licences `wanted` are fine.

    Of `A OR B` one must be wanted, of `A AND B` both. An exception (`A WITH B`) only permits more.
    Capitals do not matter. What is no expression is not allowed.

    >>> allowed("MIT OR GPL-3.0-only", ["MIT"]), allowed("MIT AND GPL-3.0-only", ["MIT"])
    (True, False)
    """
    whole = expression.strip().casefold()
    fine = frozenset(tag.casefold() for tag in wanted)
    if whole in fine:
        return True
    if len(whole) > MAXIMUM_EXPRESSION_CHARACTERS or whole.count("(") > MAXIMUM_BRACKETS:
        return False
    words = _WORD.findall(whole)[::-1]
    try:
        result = _either(words, fine)
    except _MalformedError:
        return False
    return result and not words


def _either(words: list[str], fine: Collection[str]) -> bool:
    result = _both(words, fine)
    while words and words[-1] == "or":
        words.pop()
        result = _both(words, fine) or result
    return result


def _both(words: list[str], fine: Collection[str]) -> bool:
    result = _single(words, fine)
    while words and words[-1] == "and":
        words.pop()
        result = _single(words, fine) and result
    return result


def _single(words: list[str], fine: Collection[str]) -> bool:
    word = words.pop() if words else ")"
    if word == "(":
        result = _either(words, fine)
        if not words or words.pop() != ")":
            raise _MalformedError
        return result
    if word in (")", "or", "and", "with"):
        raise _MalformedError
    if words and words[-1] == "with":
        words.pop()
        exception = words.pop() if words else ")"
        if exception in ("(", ")", "or", "and", "with"):
            raise _MalformedError
        return word in fine or f"{word} with {exception}" in fine
    return word in fine


def from_header(text: str) -> str | None:
    """The licence that a file names for itself in an `SPDX-License-Identifier` line.

    >>> from_header("/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */")
    'GPL-2.0 WITH Linux-syscall-note'
    """
    found = _HEADER.search(text)
    return canonical(_COMMENT_END.sub("", found[1]).strip()) or None if found else None


class _Mark(NamedTuple):
    """What tells a licence's text: phrases that it has, and phrases that only others have."""

    tag: str
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


_GRANT = "permission is hereby granted, free of charge, to any person obtaining a copy"
_NOTICE = "this permission notice shall be included"
_ISC = "copy, modify, and/or distribute this software for any purpose with or without fee is"
_ISC_OLD = "copy, modify, and distribute this software for any purpose with or without fee is"
_CONDITION = "provided that the above copyright notice"
_BSD = "redistribution and use in source and binary forms, with or without"
_ADVERTISING = "all advertising materials mentioning features"
_ENDORSE = "to endorse or promote products"
_GNU = "general public license version"

#: Text in lower case, its white space made single blanks, against these. A text may match several:
#: then all of them hold.
_MARKS = (
    _Mark("MIT", (_GRANT, _NOTICE)),
    _Mark("MIT", (_GRANT, "this permission notice (including the next paragraph) shall be")),
    _Mark("MIT-0", (_GRANT, "the software is provided"), ("permission notice",)),
    _Mark("ISC", (_ISC, _CONDITION)),
    _Mark("ISC", (_ISC_OLD, _CONDITION)),
    _Mark("0BSD", (_ISC,), (_CONDITION,)),
    _Mark("BSD-4-Clause", (_BSD, _ADVERTISING)),
    _Mark("BSD-3-Clause", (_BSD, _ENDORSE), (_ADVERTISING,)),
    _Mark("BSD-2-Clause", (_BSD, "this list of conditions"), (_ENDORSE, _ADVERTISING)),
    _Mark("Apache-2.0", ("apache license version 2.0, january 2004",)),
    _Mark("Apache-2.0", ("licensed under the apache license, version 2.0",)),
    _Mark("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    _Mark("Zlib", ("'as-is', without any express or implied", "altered source versions must be")),
    _Mark("BSL-1.0", ("boost software license - version 1.0",)),
    _Mark("CC0-1.0", ("cc0 1.0 universal",)),
    _Mark("CC-BY-SA-4.0", ("attribution-sharealike 4.0 international",)),
    _Mark("CC-BY-NC-4.0", ("attribution-noncommercial 4.0 international",)),
    _Mark("CC-BY-4.0", ("attribution 4.0 international",)),
    _Mark("AGPL-3.0", (f"gnu affero {_GNU} 3, 19 november 2007",)),
    _Mark("LGPL-3.0", (f"gnu lesser {_GNU} 3, 29 june 2007",)),
    _Mark("LGPL-2.1", (f"gnu lesser {_GNU} 2.1, february 1999",)),
    _Mark("LGPL-2.0", (f"gnu library {_GNU} 2, june 1991",)),
    _Mark("GPL-3.0", (f"gnu {_GNU} 3, 29 june 2007",)),
    _Mark("GPL-2.0", (f"gnu {_GNU} 2, june 1991",)),
    _Mark("GPL-1.0", (f"gnu {_GNU} 1, february 1989",)),
    _Mark("MPL-2.0", ("mozilla public license version 2.0",)),
    _Mark("MPL-2.0", ("mozilla public license, v. 2.0",)),
    _Mark("MPL-1.1", ("mozilla public license version 1.1",)),
    _Mark("EPL-2.0", ("eclipse public license - v 2.0",)),
    _Mark("EPL-1.0", ("eclipse public license - v 1.0",)),
    _Mark("EUPL-1.2", ("european union public licence v. 1.2",)),
    _Mark("Artistic-2.0", ("artistic license 2.0",)),
    _Mark("WTFPL", ("do what the fuck you want to public license",)),
    _Mark("PSF-2.0", ("python software foundation license version 2",)),
    # A restriction that is put before or behind another licence.
    _Mark("LicenseRef-Commons-Clause", ("commons clause",)),
)
#: Lower case -> the tag in SPDX's own capitals.
NAMES = {mark.tag.casefold(): mark.tag for mark in _MARKS}


def canonical(tag: str) -> str:
    """A tag in SPDX's own capitals, where they are known here; the tag as it is otherwise.

    >>> canonical("apache-2.0"), canonical("odc-by")
    ('Apache-2.0', 'odc-by')
    """
    return NAMES.get(tag.strip().casefold(), tag.strip())


def identify(text: str) -> str | None:
    """Names the licence whose text this is, as an SPDX expression; None if none is known.

    A file of several licences' texts is under all of them as far as one can tell: `A AND B`.
    """
    if header := from_header(text[:_START_CHARACTERS]):  # further down it is another file's
        return header
    plain = " ".join(text.casefold().replace("‘", "'").replace("’", "'").split())
    found = dict.fromkeys(
        mark.tag
        for mark in _MARKS
        if all(phrase in plain for phrase in mark.has)
        and not any(phrase in plain for phrase in mark.lacks)
    )
    return " AND ".join(found) or None
