"""Cuts a page into blocks of text, as a stream: no tree is built, however deep elements nest."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from lxml import etree

from pipelines.web import boilerplate

#: Elements within elements, in pages of more than so many tags. Pages of people stay below 100; the
#: parser looks through all open elements for each end tag that fits none, so that its time would
#: grow with the square of a page's length.
MAXIMUM_DEPTH, CHECKED_TAGS = 2000, 10_000

#: A block with a larger share of its characters in links is no prose.
MAXIMUM_LINK_SHARE = 0.5
#: A block of so many words is prose if it is not mostly links; a sentence needs fewer.
PROSE_WORDS, SENTENCE_WORDS = 10, 5

#: How a block is marked: within `main`, within an `article`.
IN_MAIN, IN_ARTICLE = 1, 2

_BLOCKS = boilerplate.words(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption figure"
    " form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main ol p pre section summary table"
    " tbody tfoot thead tr ul"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
#: Elements that hold nothing, and those whose start ends an open one of the same name.
_NOT_NESTING = boilerplate.words(
    "area base br col embed hr img input link meta param source track wbr p li td th tr dt dd"
    " option tbody thead tfoot"
)
#: Han, kana, Thai, Lao, Burmese, Khmer: scripts without spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCE_ENDS = tuple(".!?\u2026\u3002\uff01\uff1f\u0964\u061f\"'\u201d\u2019)")
_LINE_BREAK = "\n"


class UnfitError(ValueError):
    """A page that cannot be read; says why, and nothing of its content."""


class Block(NamedTuple):
    """A run of text that stands for itself.

    Args:
        text: It, white space joined, except in `pre`.
        link_share: Share of its characters that stand in links.
        level: Of the heading that it is, from 1; 0: it is none.
        item: Whether it is an item of a list.
        marks: What it stands in.
        words: Words; where none are set apart, two characters are one.
    """

    text: str
    link_share: float
    level: int
    item: bool
    marks: int
    words: int

    @property
    def is_prose(self) -> bool:
        """Whether it reads like a text, by itself."""
        if self.link_share > MAXIMUM_LINK_SHARE or self.level:
            return False
        sentence = self.words >= SENTENCE_WORDS and self.text.endswith(_SENTENCE_ENDS)
        return sentence or self.words >= PROSE_WORDS


class Cut(NamedTuple):
    """What a page was cut into.

    Args:
        blocks: Its blocks in order.
        lost_characters: Of what was left out because of a name alone.
    """

    blocks: list[Block]
    lost_characters: int


def cut(html: str, by_names: bool = True) -> Cut:
    """Cuts a page into blocks, without the elements that say that they are no text.

    Args:
        html: The page, decoded.
        by_names: Whether to believe names of classes and ids.

    Raises:
        UnfitError: Its elements nest too deep.
    """
    if html.count("<") > CHECKED_TAGS:
        _check_depth(html)
    target = _Target(by_names)
    parser = etree.HTMLParser(
        target=target, encoding="utf-8", recover=True, no_network=True, huge_tree=True
    )
    try:
        parser.feed(html.replace("\0", "").encode("utf-8", "replace"))
        parser.close()
    except etree.XMLSyntaxError:  # nothing at all, or what no browser shows either
        target.close()
    return Cut(target.blocks, target.lost_characters)


def _check_depth(html: str) -> None:
    """Refuses a page whose elements nest too deep, by its tags alone.

    Raises:
        UnfitError: They do.
    """
    opened: list[str] = []
    counts: Counter[str] = Counter()
    for end, written in _TAG.findall(html):
        name = written.lower()
        if name in _NOT_NESTING:
            continue
        if not end:
            opened.append(name)
            counts[name] += 1
            if len(opened) > MAXIMUM_DEPTH:
                raise UnfitError(f"elements nested deeper than {MAXIMUM_DEPTH}")
        elif counts[name]:
            while (last := opened.pop()) != name:
                counts[last] -= 1
            counts[name] -= 1


class _Target:
    """Takes the parser's events and puts the text between two borders of blocks together.

    Args:
        by_names: Whether to believe names of classes and ids.

    Attributes:
        blocks: What was found.
        lost_characters: Of what was left out because of a name alone.
    """

    def __init__(self, by_names: bool) -> None:
        self.blocks: list[Block] = []
        self.lost_characters = 0
        self._by_names = by_names
        self._parts: list[str] = []
        self._link_characters = 0
        self._links = self._preformatted = self._level = 0
        self._item = False
        #: How many open elements are left out, and whether the outermost is because of its name.
        self._skipped, self._named = 0, False
        #: Of each open element how it is marked, itself and what it stands in.
        self._marks = [0]
        self._found = {IN_MAIN: 0, IN_ARTICLE: 0}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if self._skipped or self._is_left_out(name, attributes):
            self._skipped += 1
            return
        self._marks.append(self._marks[-1] | self._mark(name, attributes))
        if name in _BLOCKS:
            self._flush()
            self._level = _HEADINGS.get(name, self._level)
            self._item = self._item or name == "li"
            self._preformatted += name == "pre"
        elif name == "br":
            self._parts.append(_LINE_BREAK)
        elif name in ("td", "th"):
            self._parts.append(" ")
        elif name == "a" and "href" in attributes:
            self._links += 1

    def end(self, name: str) -> None:
        """An element ends."""
        if self._skipped:
            self._skipped -= 1
            return
        if name in _BLOCKS:
            self._flush()
            self._level = 0 if name in _HEADINGS else self._level
            self._item = self._item and name != "li"
            self._preformatted -= name == "pre"
        elif name == "a":
            self._links = 0  # links do not nest
        if len(self._marks) > 1:
            self._marks.pop()

    def data(self, text: str) -> None:
        """Text between tags."""
        if self._skipped:
            self.lost_characters += len(text) if self._named else 0
            return
        if self._links:
            self._link_characters += len(text)
        self._parts.append(text if self._preformatted else text.replace("\n", " "))

    def close(self) -> None:
        """The page ends; a mark that more than one element has says nothing."""
        self._flush()
        several = sum(mark for mark, count in self._found.items() if count > 1)
        if several:
            self.blocks = [each._replace(marks=each.marks & ~several) for each in self.blocks]

    def _is_left_out(self, name: str, attributes: dict[str, str]) -> bool:
        self._named = False
        if name in boilerplate.LEFT_OUT:
            return True
        if self._preformatted or (not attributes and name != "aside"):
            return False  # classes within code say what is a comment in it
        if boilerplate.by_attributes(name, attributes):
            return True
        self._named = self._by_names and boilerplate.by_names(name, attributes)
        return self._named

    def _mark(self, name: str, attributes: dict[str, str]) -> int:
        mark = 0
        if name == "main" or attributes.get("role") == "main":
            mark = IN_MAIN
        elif name == "article":
            mark = IN_ARTICLE
        if mark and not self._marks[-1] & mark:
            self._found[mark] += 1
        return mark

    def _flush(self) -> None:
        """Ends a block, if there is text for one."""
        if not self._parts:
            return
        text = "".join(self._parts)
        self._parts.clear()
        if not self._preformatted:
            lines = (" ".join(line.split()) for line in text.split(_LINE_BREAK))
            text = _LINE_BREAK.join(filter(None, lines))
        text = text.strip(_LINE_BREAK).rstrip()
        if text:
            share = min(1.0, self._link_characters / len(text))
            marks = self._marks[-1]
            self.blocks.append(Block(text, share, self._level, self._item, marks, _count(text)))
            self._item = False
        self._link_characters = 0


def _count(text: str) -> int:
    words = len(text.split())
    return words if text.isascii() else words + len(_UNSPACED.findall(text)) // 2
