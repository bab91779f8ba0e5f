"""Word documents (docx): the text of the body, paragraph by paragraph.

A docx is a zip archive; its main part is XML, here read as a stream by expat. Deleted text of
tracked changes, field codes, and the fallback that repeats a drawing's text are no text.

References:
    ECMA-376 part 1, sections 11.3.10 (main document part) and 17.3 (paragraphs, runs), part 3,
    section 10 (alternate content).
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from typing import Any
from xml.parsers import expat

from pipelines.documents.content import Content, UnfitError

#: Most bytes of XML that are read; a zip of 10 kB can hold gigabytes.
MAXIMUM_XML_BYTES = 128 * 2**20
MAXIMUM_PARTS = 10_000
PIECE_BYTES = 2**20

_OLE_MAGIC = b"\xd0\xcf\x11\xe0"
_WORD = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
)
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_MAIN_PART = "word/document"
#: What zipfile raises on damaged archives.
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    LookupError,
    EOFError,
    OSError,
    RuntimeError,
    OverflowError,
)
#: Elements that stand for a character.
_CHARACTERS = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def text_of(data: bytes) -> Content:
    """Reads a docx file.

    Raises:
        UnfitError: It is none, is encrypted, damaged, or too large when decompressed.
    """
    if data.startswith(_OLE_MAGIC):
        raise UnfitError("an encrypted document, or one of Word before 2007; save it as docx")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return Content(_body(archive, _main_part(archive)))
    except UnfitError:
        raise
    except _FAULTS:
        raise UnfitError("not a whole docx file: its zip archive is damaged") from None


def _main_part(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entries = archive.infolist()
    if len(entries) > MAXIMUM_PARTS:
        raise UnfitError(f"a zip archive of more than {MAXIMUM_PARTS} files")
    for entry in entries:
        if entry.filename.startswith(_MAIN_PART) and entry.filename.endswith(".xml"):
            if entry.flag_bits & 1:
                raise UnfitError("an encrypted document")
            return entry
    raise UnfitError("not a docx file: no word/document.xml in its zip archive")


def _body(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """Streams the main part, which may say that it is smaller than it is."""
    body = _Body()
    total = 0
    with archive.open(entry) as part:
        while piece := part.read(PIECE_BYTES):
            total += len(piece)
            if total > MAXIMUM_XML_BYTES:
                raise UnfitError(f"more than {MAXIMUM_XML_BYTES} bytes of XML: a zip bomb?")
            body.feed(piece)
    return body.text()


class _Body:
    """The text of the main part, from its XML."""

    def __init__(self) -> None:
        self.paragraphs: list[str] = []
        self.parts: list[str] = []
        self.in_text = self.listed = False
        self.fallbacks = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = _refuse_document_type

    def feed(self, piece: bytes) -> None:
        try:
            self.parser.Parse(piece)
        except (expat.ExpatError, ValueError) as error:
            if isinstance(error, UnfitError):
                raise
            raise UnfitError("not a docx file: its XML is not well-formed") from None

    def text(self) -> str:
        try:
            self.parser.Parse(b"", True)
        except expat.ExpatError:
            raise UnfitError("not a whole docx file: its XML is cut short") from None
        return "\n".join(self.paragraphs).strip()

    def _start(self, name: str, _: dict[str, str]) -> None:
        namespace, _space, local = name.rpartition(" ")
        if namespace == _COMPATIBILITY and local == "Fallback":
            self.fallbacks += 1
        if namespace not in _WORD or self.fallbacks:
            return
        if local == "t":
            self.in_text = True
        elif local == "numPr":
            self.listed = True
        elif local in _CHARACTERS:
            self.parts.append(_CHARACTERS[local])

    def _end(self, name: str) -> None:
        namespace, _space, local = name.rpartition(" ")
        if namespace == _COMPATIBILITY and local == "Fallback":
            self.fallbacks -= 1
        if namespace not in _WORD or self.fallbacks:
            return
        if local == "t":
            self.in_text = False
        elif local == "p":
            paragraph = "".join(self.parts).strip()
            self.paragraphs.append(f"- {paragraph}" if self.listed and paragraph else paragraph)
            self.parts.clear()
            self.listed = False

    def _characters(self, characters: str) -> None:
        if self.in_text:
            self.parts.append(characters)


def _refuse_document_type(*_: Any) -> None:
    raise UnfitError("declares a document type, which no docx does: refused")
