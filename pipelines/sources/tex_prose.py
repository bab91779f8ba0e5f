"""Running text as it comes out of TeX: its white space, and what stands aside of it."""

from __future__ import annotations

import re

from pipelines.sources import tex_lexer

#: White space between two pieces of text, the widest that was asked for.
_NOTHING, _BLANK, _LINE, _PARAGRAPH = range(4)
_GAPS = ("", " ", "\n", "\n\n")

#: Stands where a reference was taken out; no text holds it.
_MARK = "\0"
_MARKS = re.compile(r"\0(?:[ ,;–-]*\0)+")
_BRACKETS = re.compile(r"[(\[](?:see|also|cf\.|e\.g\.|[\s,;\0])*[)\]]")
_DOUBLE_STOP = re.compile(r"\. ?\0(?=\.)")
_AT_START = re.compile(r"(^|\n)\0 ?")


class _Writer:
    """Pieces of text with one gap between them."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._gap = _NOTHING

    def gap(self, width: int) -> None:
        self._gap = max(self._gap, width)

    def put(self, text: str) -> None:
        if text:
            if self.parts:
                self.parts.append(_GAPS[self._gap])
            self._gap = _NOTHING
            self.parts.append(text)

    def text(self) -> str:
        return "".join(self.parts)


class Prose:
    """Takes text and white space; what stands aside (notes, the title) is put in its place."""

    def __init__(self) -> None:
        self._writers = [_Writer()]
        self._notes: list[str] = []
        self._title = ""

    def write(self, text: str) -> None:
        """Writes text; its white space is that of a sentence, a blank line ends a paragraph."""
        for index, part in enumerate(tex_lexer.PARAGRAPH.split(text)):
            if index:
                self.paragraph()
            if part[:1].isspace():
                self.blank()
            self.raw(" ".join(part.split()))
            if part[-1:].isspace():
                self.blank()

    def raw(self, text: str) -> None:
        """Writes text as it is."""
        self._writers[-1].put(text)

    def blank(self) -> None:
        """Asks for a blank before what comes next."""
        self._writers[-1].gap(_BLANK)

    def line(self) -> None:
        """Ends the line."""
        self._writers[-1].gap(_LINE)

    def paragraph(self) -> None:
        """Ends the paragraph; its notes follow it."""
        self._writers[-1].gap(_PARAGRAPH)
        if len(self._writers) == 1 and self._notes:
            for note in self._notes:
                self._writers[-1].put(note)
                self._writers[-1].gap(_PARAGRAPH)
            self._notes.clear()

    heading = paragraph

    def reference(self) -> None:
        """Notes that a reference stood here."""
        self._writers[-1].put(_MARK)

    def begin_aside(self) -> None:
        """What follows stands aside, until one of the next three."""
        self._writers.append(_Writer())

    def end_note(self) -> None:
        """Puts what stood aside after the paragraph."""
        if text := self._end_aside():
            self._notes.append(text)

    def end_title(self) -> None:
        """Puts what stood aside before everything."""
        self._title = self._end_aside() or self._title

    def drop_aside(self) -> None:
        """Forgets what stood aside, but for its notes."""
        self._end_aside()
        self.paragraph()

    def _end_aside(self) -> str:
        return self._writers.pop().text() if len(self._writers) > 1 else ""

    def restart(self) -> None:
        """Forgets everything but the title: the document begins here."""
        self._writers = [_Writer()]
        self._notes.clear()

    def finish(self) -> str:
        """The whole text."""
        while len(self._writers) > 1:  # it was never closed
            self.end_note()
        self.paragraph()
        text = self._writers[0].text()
        return f"{self._title}\n\n{text}" if self._title and text else self._title or text


def without_references(text: str) -> str:
    r"""Closes the gaps that references left, and takes out brackets that held nothing else.

    >>> without_references("As shown \0, \0 (see \0; \0), it holds \0.")
    'As shown, it holds.'
    """
    text = _MARKS.sub(_MARK, text)
    text = _BRACKETS.sub(lambda found: _MARK if _MARK in found[0] else found[0], text)
    text = _DOUBLE_STOP.sub("", text)
    return _AT_START.sub(r"\1", text).replace(f" {_MARK}", "").replace(_MARK, "").strip()
