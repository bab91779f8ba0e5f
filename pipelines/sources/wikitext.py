"""Wikitext to text: without templates, tables, references, files, categories and markup.

One pass finds what nests, and a stack tells what belongs together, so that the time grows with the
length of a page alone, whatever it holds. What is never closed is text, as MediaWiki shows it.
Templates are left out, not expanded: that would take the template pages, and Lua.

References:
    MediaWiki, Help:Formatting, Help:Links, Help:Tables, and Markup spec/BNF.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Set
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Names of the namespaces whose links stand for no text, in every language.
HIDDEN = frozenset(("file", "image", "media", "category"))

#: Links nested deeper than this are text: only damaged pages have them.
MAXIMUM_LINK_DEPTH = 20

_TOKEN = re.compile(
    r"<!--|\{{2,}|\}{2,}|^[ \t:]*\{\||^[ \t]*\|\}(?!\})|\[\[|\]\]"
    r"|</?[A-Za-z][A-Za-z0-9]*(?=[\s/>])[^<>]{0,1000}>",
    re.MULTILINE,
)
_TAG_NAME = re.compile(r"</?([A-Za-z0-9]+)")

#: Elements left out with their content.
_DROPPED = _words(
    "ref references gallery timeline score imagemap templatedata templatestyles hiero includeonly"
    " graph mapframe maplink indicator categorytree inputbox chem ce section"
)
#: Elements whose content is no wikitext.
_LITERAL = _words("nowiki pre syntaxhighlight source code math")
#: Tags that end a line.
_BLOCKS = _words("br p div blockquote li ul ol dl dt dd hr center tr table h1 h2 h3 h4")

_LINK_ABROAD = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]{2,10})*")
_EXTERNAL = re.compile(r"\[(?:(?:https?|ftp):)?//[^\s\[\]<>]*+[ \t]*+([^\[\]\n]*+)\]")
_MAGIC_WORD = re.compile(r"__[^\W\d_]{3,30}__")
_VARIANTS = re.compile(r"-\{([^{}]*+)\}-")
_EMPHASIS = re.compile(r"'{2,}")
_SPACES = re.compile(r"[ \t\u00a0]+")
_HOLE = re.compile(r" ?\((?:[ ,;:/]|\u2013)*\)")
#: What a template left before it or after it, beside a bracket.
_HALF_HOLE = re.compile(r"(?<=\()[ ,;]++|(?<![ ,;])[ ,;]++(?=\))")
# Nile (river)
_PIPE_TRICK = re.compile(r"(?<! ) *+\([^()]*+\)$")
_MARKERS = "*#:;"


class _Frame(NamedTuple):
    """Something that was opened and is not closed yet.

    Args:
        kind: `{{`, `{|` or `[[`; empty: the page.
        braces: How many opened it.
        parts: The text in it so far.
    """

    kind: str
    braces: int
    parts: list[str]


def to_text(wikitext: str, hidden: Set[str] = HIDDEN) -> str:
    """Makes text of a page.

    Args:
        wikitext: Its source.
        hidden: Names, case-folded, of the namespaces whose links are left out.

    >>> to_text("The '''Nile'''{{IPA|n}} is a [[river|long river]].<ref>A map.</ref>")
    'The Nile is a long river.'
    """
    return _lines(_Scanner(wikitext, hidden).text())


class _Scanner:
    """Takes out what nests.

    Args:
        source: The wikitext.
        hidden: Namespaces whose links are left out.
    """

    def __init__(self, source: str, hidden: Set[str]) -> None:
        self.source, self.hidden = source, hidden
        self.frames = [_Frame("", 0, [])]
        self.links = 0
        self.never_closed: set[str] = set()

    def text(self) -> str:
        position = 0
        while token := _TOKEN.search(self.source, position):
            self._put(self.source[position : token.start()])
            position = self._take(token[0].strip(" \t:"), token.end())
        self._put(self.source[position:])
        return "".join(part for frame in self.frames for part in frame.parts)

    def _put(self, text: str) -> None:
        if text:
            self.frames[-1].parts.append(text)

    def _take(self, token: str, end: int) -> int:
        """Does what a token asks for; returns where to go on."""
        if token == "<!--":
            close = self.source.find("-->", end)
            return len(self.source) if close < 0 else close + 3
        if token.startswith("<"):
            return self._tag(token, end)
        if token[0] == "}":
            self._close_braces(len(token))
        elif token == "|}":
            self._close_table()
        elif token == "]]":
            self._close_link()
        elif token == "[[":
            if self.links < MAXIMUM_LINK_DEPTH:
                self.frames.append(_Frame(token, 0, []))
                self.links += 1
        else:
            braces = 0 if token == "{|" else len(token)
            self.frames.append(_Frame(token[:2], braces, []))
        return end

    def _tag(self, token: str, end: int) -> int:
        match = _TAG_NAME.match(token)
        name = match[1].lower() if match else ""
        closing, alone = token.startswith("</"), token.endswith("/>")
        if name in _DROPPED | _LITERAL and not closing and not alone:
            close = None
            if name not in self.never_closed:
                close = _closing(name).search(self.source, end)
            if close is None:
                self.never_closed.add(name)
                return end
            if name in _LITERAL:
                content = self.source[end : close.start()]
                self._put(f"${content.strip()}$" if name == "math" else content)
            return close.end()
        if name in _BLOCKS:
            self._put("\n")
        return end

    def _close_braces(self, count: int) -> None:
        """Closes the templates that the braces are enough for, and links left open in them."""
        while count >= 2:
            opened = self._opened("{{", through=("[[",))
            if opened is None:
                return
            frame = self.frames[opened]
            used = min(frame.braces, count)
            self._leave(opened)
            count -= used
            if frame.braces - used >= 2:
                self.frames.append(_Frame("{{", frame.braces - used, []))

    def _close_table(self) -> None:
        opened = self._opened("{|", through=("[[",))
        if opened is not None:
            self._leave(opened)

    def _close_link(self) -> None:
        if self.frames[-1].kind == "[[":
            content = "".join(self.frames[-1].parts)
            self._leave(len(self.frames) - 1)
            self._put(self._label(content))

    def _opened(self, kind: str, through: tuple[str, ...]) -> int | None:
        """The innermost frame of a kind that may be closed here."""
        for number in range(len(self.frames) - 1, 0, -1):
            if self.frames[number].kind == kind:
                return number
            if self.frames[number].kind not in through:
                return None
        return None

    def _leave(self, number: int) -> None:
        """Forgets a frame and all in it."""
        self.links -= sum(frame.kind == "[[" for frame in self.frames[number:])
        del self.frames[number:]

    def _label(self, content: str) -> str:
        """What a link shows."""
        target, bar, label = content.partition("|")
        prefix, colon, rest = target.partition(":")
        prefix = prefix.strip().casefold()
        abroad = not bar and _LINK_ABROAD.fullmatch(prefix)
        if colon and prefix and (prefix in self.hidden or abroad):
            return ""
        if bar and label.strip():
            return label
        shown = target.strip().removeprefix(":")
        # [[Nile (river)|]] shows Nile
        return re.sub(r" *\([^()]*\)$", "", rest or shown) if bar else shown


@functools.cache
def _closing(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{name}\s{{0,99}}>", re.IGNORECASE)


def _lines(text: str) -> str:
    """Takes markup out of lines, and headings out that nothing stands below."""
    text = _EXTERNAL.sub(r"\1", _VARIANTS.sub(_variant, text))
    text = html.unescape(_EMPHASIS.sub("", _MAGIC_WORD.sub("", text)))
    kept: list[str] = []
    headings: list[tuple[int, str]] = []
    for raw in text.splitlines():
        line = _SPACES.sub(" ", raw).strip()
        if len(line) > 2 and line[0] == line[-1] == "=":
            level = len(line) - len(line.lstrip("="))
            while headings and headings[-1][0] >= level:
                headings.pop()
            headings.append((level, line.strip("= ")))
            continue
        line = _text_line(line)
        if line:
            for _, heading in headings:
                kept.extend(("", heading, ""))
            headings.clear()
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(_single_blanks(kept)).strip()


def _single_blanks(lines: list[str]) -> list[str]:
    return [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]


def _text_line(line: str) -> str:
    """One line without its markers; empty if it was nothing but markup."""
    if line.startswith(("|", "!", "{|", "----")):
        return ""
    marked = line.lstrip(_MARKERS + " ")
    listed = any(marker in line[: len(line) - len(marked)] for marker in "*#")
    whole = _HALF_HOLE.sub("", _HOLE.sub("", marked)).strip()
    if not any(character.isalnum() for character in whole):
        return ""
    return f"- {whole}" if listed else whole


def _variant(found: re.Match[str]) -> str:
    """The first of the forms that a converter between scripts chooses from."""
    first = found[1].rpartition("|")[2].split(";")[0]
    return first.partition(":")[2] if ":" in first else first
