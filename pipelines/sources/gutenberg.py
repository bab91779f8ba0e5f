"""Books of Project Gutenberg: the book, without what the project puts before and after it.

Of the marks that the project has used since 1990 any is known:

    *** START OF THE PROJECT GUTENBERG EBOOK MOBY DICK ***       (and END; THIS for THE; EBOOK or
    ***START OF THE PROJECT GUTENBERG EBOOK MOBY DICK***          ETEXT; over two lines)
    *END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*   the last line before a book
    End of Project Gutenberg's Moby Dick, by Herman Melville      (or: of the, of this, Etext of)

The paragraphs after the first mark that say who produced the file go too; notes of transcribers on
the text are kept, being about the book.

A file without a mark of its beginning is `Unreadable`: nobody can tell where its book begins, and
to guess would put the licence into the corpus a thousand times. Books that were cleaned before
are of kind text. A book without a mark of its end goes to the end of its file, unless a licence
follows, as the oldest ones do.

A book of the few that are under copyright, as its header says, has the licence tag `copyrighted`;
to all others the source's tag applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from llm_keras import config
from llm_keras.data.document import unify_newlines
from pipelines.sources import decoding
from pipelines.sources.record import Passed, Text, Unreadable

SUFFIXES = (".txt", ".text")
REASONS = ("no_text",)

COPYRIGHTED = "copyrighted"
#: The header of a book, in characters; the longest, with the small print, have some 16,000.
_HEADER_CHARACTERS = 40_000
#: Paragraphs after the first mark that may still be of the project.
_OPENING_PARAGRAPHS = 8

_THIS = r"(?:TH(?:E|IS)[ \t]+)?(?:COPYRIGHTED[ \t]+)?"
_NAME = r"PROJECT\s+GUTENBERG"
_START = re.compile(
    rf"^[ \t]*+\*{{1,4}}[ \t]*+START[ \t]+OF[ \t]+{_THIS}{_NAME}"
    r"(?:[^*\n]{0,200}(?:\n[^*\n]{1,200}){0,2}\*{2,4}[^\n]*|[^*\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_SMALL_PRINT = re.compile(
    r"^[ \t]*+\*{0,4}END[ \t*]{0,4}THE SMALL PRINT![^\n]*$", re.IGNORECASE | re.MULTILINE
)
_END = re.compile(
    rf"^[ \t]*+(?:\*{{1,4}}[ \t]*+END[ \t]+OF[ \t]+{_THIS}{_NAME}"
    rf"|\*{{0,4}}[ \t]*+(?:The[ \t]+)?End[ \t]+of[ \t]+(?:th(?:e|is)[ \t]+)?{_NAME}(?:['’]s|\s)"
    rf"|Ende[ \t]+(?:dieses|des)[ \t]+{_NAME}|Fin[ \t]+(?:du|de)[ \t]+[^\n]{{0,60}}{_NAME}"
    r"|\*{3}[ \t]*+START:?[ \t]+FULL[ \t]+LICENSE"
    r"|\**START\**[ \t]*+THE SMALL PRINT!)",
    re.IGNORECASE | re.MULTILINE,
)
_MENTION = re.compile(_NAME, re.IGNORECASE)
_PRODUCED = re.compile(
    r"(?:\[?(?:Text|File|E-?text|E-?book|HTML|This (?:e-?text|e-?book|file))\b[^\n]{0,40}\s)?"
    r"(?:was\s+)?(?:produced|prepared|scanned|transcribed|digitized|proofed|created|updated|donated)"
    r"(?:\s+and\s+\w+)?\s+(?:by|from)\b",
    re.IGNORECASE,
)
_ENCODING = re.compile(rb"Character set encoding:[ \t]*([A-Za-z0-9_() -]{2,30})", re.IGNORECASE)
_LANGUAGE = re.compile(r"^Language:[ \t]*([A-Za-z]{2,20})[ \t]*$", re.MULTILINE)
_NUMBER = re.compile(r"\[\s*e(?:book|text)\s*#\s*(\d{1,6})\s*\]", re.IGNORECASE)
_COPYRIGHT = re.compile(r"COPYRIGHTED\s+PROJECT\s+GUTENBERG", re.IGNORECASE)

_LANGUAGES = {
    **{"english": "en", "french": "fr", "german": "de", "spanish": "es", "italian": "it"},
    **{"portuguese": "pt", "dutch": "nl", "finnish": "fi", "swedish": "sv", "danish": "da"},
    **{"norwegian": "no", "latin": "la", "greek": "el", "chinese": "zh", "japanese": "ja"},
    **{"hungarian": "hu", "polish": "pl", "russian": "ru", "czech": "cs", "catalan": "ca"},
    **{"esperanto": "eo", "welsh": "cy", "tagalog": "tl", "hebrew": "he", "icelandic": "is"},
}


def read(path: Path, source: config.Source) -> Iterator[Text | Passed | Unreadable]:
    """Reads one book."""
    data = decoding.read_bytes(path)
    if isinstance(data, Unreadable):
        yield data
        return
    text = decoding.decode(data, source.encoding, _declared(data))
    if isinstance(text, Unreadable):
        yield text
        return
    text = unify_newlines(text)
    start = book_start(text)
    if start is None:
        yield Unreadable(
            "no mark of where a Project Gutenberg book begins; books without are of kind text"
        )
        return
    book = body(text[start:])
    header = text[:start]
    yield (
        Passed("no_text")
        if not book
        else Text(
            book,
            url=_address(header),
            language=_language(header),
            licence=COPYRIGHTED if _COPYRIGHT.search(header) else None,
        )
    )


def book_start(text: str) -> int | None:
    """Where the last mark of a beginning ends; None if there is none.

    The small print may stand before or after the line that says START; at the end of a file it
    marks nothing.
    """
    until = min(len(text), _HEADER_CHARACTERS)
    marks = [found.end() for found in _START.finditer(text[:until])]
    marks += [found.end() for found in _SMALL_PRINT.finditer(text[:until])]
    # The small print begins with a mark that elsewhere is one of an end.
    ends = (found for found in _END.finditer(text) if "SMALL PRINT" not in found[0].upper())
    end = next((found.start() for found in ends), until)
    before_end = sorted((mark for mark in marks if mark <= end), reverse=True)
    # The last that something follows; if nothing follows any, there is a book, but it is empty.
    return next(
        (mark for mark in before_end if _followed(text, mark)), min(before_end, default=None)
    )


def _followed(text: str, mark: int) -> bool:
    end = _END.search(text, mark)
    return bool(text[mark : end.start() if end else len(text)].strip())


def body(text: str) -> str:
    """The book, of what follows the mark of its beginning."""
    end = _END.search(text)
    return _without_producers(text[: end.start()] if end else text).strip("\n ")


def _without_producers(text: str) -> str:
    """Leaves out the paragraphs at the beginning that say who made the file."""
    pieces = re.split(r"(\n\s*\n)", text.lstrip("\n "), maxsplit=_OPENING_PARAGRAPHS)
    kept: list[str] = []
    for index in range(0, len(pieces), 2):  # a paragraph, and the blank lines after it
        if index == len(pieces) - 1 or not _is_project(pieces[index]):
            kept += pieces[index : index + 2]
    return "".join(kept)


def _is_project(paragraph: str) -> bool:
    plain = " ".join(paragraph.split())
    return len(plain) < 1000 and bool(_PRODUCED.match(plain) or _MENTION.search(plain[:300]))


def _declared(data: bytes) -> str | None:
    """The encoding that a header names, which is written in ASCII."""
    found = _ENCODING.search(data[:_HEADER_CHARACTERS])
    if not found:
        return None
    name = found[1].decode("ascii").strip().lower()
    # Many a file that says ASCII is not: then what the run file says holds.
    return None if "ascii" in name else name.removeprefix("iso ").replace("cp-", "cp")


def _language(header: str) -> str | None:
    found = _LANGUAGE.search(header)
    return _LANGUAGES.get(found[1].lower()) if found else None


def _address(header: str) -> str | None:
    found = _NUMBER.search(header)
    return f"https://www.gutenberg.org/ebooks/{found[1]}" if found else None
