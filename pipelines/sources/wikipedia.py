"""Dumps of Wikipedia and of other wikis on MediaWiki: XML, plain or `.bz2`, `.gz`, `.zst`.

The XML is read as a stream by expat. Dumps declare no document type, so one that does is refused
before any entity could be defined, and nothing outside the file is ever looked up.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers import expat

from llm_keras import config
from pipelines.sources import bzip2, compressed, wikitext
from pipelines.sources.breaks import Break
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Found, Passed, Text, Unreadable, usable

#: Parts of large dumps are named `...xml-p1p41242.bz2`.
SUFFIXES = (".xml", ".bz2", ".xml.gz", ".xml.zst")
REASONS = ("redirect", "not_an_article", "no_text")

#: Namespaces by number: what their links show is no part of a text.
FILE, CATEGORY, MEDIA = "6", "14", "-2"

_COLLECTED = frozenset(("title", "ns", "timestamp", "model", "text", "base", "namespace"))
#: Dumps older than the element `redirect` have only the text; its word is of the wiki's language.
_REDIRECT = re.compile(r"\s*#\w{1,40}\s*:?\s*\[\[")
_WIKITEXT = "wikitext"
_PAGE = b"<page>"


class _RefusedError(Exception):
    """The XML holds what no dump does; says what."""


class _Page(NamedTuple):
    """A page as it stands in the dump; of several revisions the last.

    Args:
        fields: Content of its elements by name.
        redirect: Whether the dump says that it is one.
        too_long: Whether its text had more than `MAXIMUM_RECORD_BYTES` characters.
    """

    fields: dict[str, str]
    redirect: bool
    too_long: bool


def read(path: Path, source: config.Source) -> Iterator[Found]:
    """Reads the articles of a dump; redirects and pages of other namespaces are passed over."""
    dump = _Dump()
    for piece in _pieces(path):
        if isinstance(piece, Break):
            yield Unreadable(piece.error, offset=dump.bytes_read)
            dump.start_amid()
            continue
        error = dump.feed(piece)
        yield from (_found(page, dump, source) for page in dump.take())
        if error:
            yield error
            return
    if error := dump.close():
        yield error


def _pieces(path: Path) -> Iterator[bytes | Break]:
    if path.name.lower().endswith(".bz2"):
        yield from bzip2.pieces(path)
        return
    extent = compressed.examine(path)
    yield from compressed.chunks(path, extent)
    if extent.error:
        yield Break(extent.error)


def _found(page: _Page, dump: _Dump, source: config.Source) -> Found:
    """Makes a text of a page, or says why it is none."""
    title = page.fields.get("title", "")
    raw = page.fields.get("text", "")
    if page.too_long:
        return Unreadable(f"a page of more than {MAXIMUM_RECORD_BYTES} characters", name=title)
    if page.redirect or _REDIRECT.match(raw):
        return Passed("redirect", title)
    if (
        page.fields.get("ns", "0") != "0"
        or dump.in_namespace(title)
        or page.fields.get("model", _WIKITEXT) != _WIKITEXT
    ):
        return Passed("not_an_article", title)
    text = wikitext.to_text(raw, dump.hidden)
    if not text:
        return Passed("no_text", title)
    if problem := usable(text):
        return Unreadable(problem, name=title)
    return Text(
        text,
        url=dump.url(title),
        language=dump.language if source.language is None else None,
        timestamp=page.fields.get("timestamp") or None,
        name=title,
    )


class _Dump:
    """Pages of a dump, put together from the bytes that are fed.

    Attributes:
        language: The wiki's, as the dump says.
        hidden: Names of namespaces whose links show nothing.
        bytes_read: Bytes that were fed.
    """

    def __init__(self) -> None:
        self.language: str | None = None
        self.hidden: set[str] = set(wikitext.HIDDEN)
        self.bytes_read = 0
        self._base = ""
        self._namespaces: set[str] = set()
        self._pages: list[_Page] = []
        self._start()

    def feed(self, piece: bytes) -> Unreadable | None:
        """Parses some more bytes; says what is wrong with them."""
        return self._parse(piece, last=False)

    def close(self) -> Unreadable | None:
        """Says whether the dump ends where it should."""
        if not self.bytes_read or self._amid:
            return None
        return self._parse(b"", last=True)

    def take(self) -> list[_Page]:
        """The pages that have ended since the last call."""
        pages, self._pages = self._pages, []
        return pages

    def start_amid(self) -> None:
        """Begins anew after bytes that are missing, where pages follow each other."""
        self._start(amid=True)

    def in_namespace(self, title: str) -> bool:
        """Whether a title begins with the name of a namespace that is not the articles'."""
        prefix, colon, _ = title.partition(":")
        return bool(colon) and prefix.casefold() in self._namespaces

    def url(self, title: str) -> str | None:
        """Where a page stands; beside the wiki's main page."""
        if not self._base.startswith(("http://", "https://")):
            return None
        return self._base.rpartition("/")[0] + "/" + urllib.parse.quote(title.replace(" ", "_"))

    _before_page: bytes | None

    def _start(self, amid: bool = False) -> None:
        self._fields: dict[str, str] = {}
        self._chunks: list[str] | None = None
        self._characters = 0
        self._key = ""
        self._redirect = self._too_long = False
        self._amid = amid
        self._before_page = b"" if amid else None
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._on_start
        self._parser.EndElementHandler = self._on_end
        self._parser.CharacterDataHandler = self._on_characters
        self._parser.StartDoctypeDeclHandler = _refuse_document_type

    def _parse(self, piece: bytes, last: bool) -> Unreadable | None:
        offset = self.bytes_read
        self.bytes_read += len(piece)
        if self._before_page is not None:
            piece = self._from_page(piece)
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            if last:
                return Unreadable("the dump ends before its last element: cut short", offset=offset)
            return Unreadable(
                f"not valid XML: {expat.ErrorString(error.code)}",
                line=None if self._amid else error.lineno,
            )
        except _RefusedError as error:
            return Unreadable(str(error))
        except ValueError:
            return Unreadable("not valid XML: an encoding that is not known")
        return None

    def _from_page(self, piece: bytes) -> bytes:
        """What of some bytes belongs to whole pages, after bytes that are missing."""
        piece = (self._before_page or b"") + piece
        start = piece.find(_PAGE)
        if start < 0:
            self._before_page = piece[1 - len(_PAGE) :]
            return b""
        self._before_page = None
        return b"<mediawiki>" + piece[start:]

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "page":
            self._fields = {}
            self._redirect = self._too_long = False
        elif name == "redirect":
            self._redirect = True
        elif name == "mediawiki":
            self.language = attributes.get("xml:lang", self.language)
        elif name in _COLLECTED:
            self._key = attributes.get("key", "")
            self._chunks, self._characters = [], 0

    def _on_characters(self, characters: str) -> None:
        if self._chunks is None:
            return
        self._characters += len(characters)
        if self._characters > MAXIMUM_RECORD_BYTES:
            self._too_long = True
            self._chunks.clear()
        else:
            self._chunks.append(characters)

    def _on_end(self, name: str) -> None:
        if name == "page":
            self._pages.append(_Page(self._fields, self._redirect, self._too_long))
        elif self._chunks is not None and name in _COLLECTED:
            content, self._chunks = "".join(self._chunks), None
            if name == "namespace":
                self._name_namespace(content)
            elif name == "base":
                self._base = content
            else:
                self._fields[name] = content

    def _name_namespace(self, name: str) -> None:
        if name and self._key != "0":
            self._namespaces.add(name.casefold())
        if name and self._key in (FILE, CATEGORY, MEDIA):
            self.hidden.add(name.casefold())


def _refuse_document_type(*_: Any) -> None:
    raise _RefusedError("declares a document type, which no dump does: refused")
