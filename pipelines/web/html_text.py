"""The text of a web page, without what surrounds it: menus, footers, forms, notices.

The page is parsed as a stream, no tree is built, and cut into blocks (paragraphs, headings, list
items, rows of tables). Elements that say what they are (`nav`, `footer`, roles, telling names of
classes) are left out with all they hold; where a page marks its main part, only that is taken. Of
the blocks that remain, those that are mostly links, and short ones with no prose near them, are
left out.

References:
    Kohlschuetter et al. 2010, Boilerplate detection using shallow text features, section 3 (link
    density and text density of blocks and their neighbours).
    docs/decisions/0011-html-extraction.md compares it with others.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lxml import etree


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Elements within elements, in pages of more than so many tags. Pages of people stay below 100; the
#: parser looks through all open elements for each end tag that fits none, so that its time would
#: grow with the square of a page's length.
MAXIMUM_DEPTH, CHECKED_TAGS = 2000, 10_000

#: A block with a larger share of its characters in links is no prose.
MAXIMUM_LINK_SHARE = 0.5
#: A block of so many words is prose if it is not mostly links; a sentence needs fewer.
PROSE_WORDS, SENTENCE_WORDS = 10, 5
#: A short block is kept if there is prose so many blocks before or after it.
NEAR_BLOCKS = 3
#: The main part that a page marks must have this share of its words to be believed.
MINIMUM_MAIN_SHARE = 0.3
#: A name of more parts than this is a title, whatever words are in it.
MAXIMUM_NAME_PARTS = 3

_LEFT_OUT = _words(
    "script style noscript template svg math canvas iframe object embed audio video map head"
    " button select option input textarea datalist dialog nav footer menu"
)
_ROLES_LEFT_OUT = _words(
    "navigation banner contentinfo search complementary dialog alertdialog menu menubar toolbar"
    " tooltip alert"
)
#: Roles of an `aside` that belongs to the text.
_ROLES_OF_NOTES = _words("note doc-footnote doc-endnotes")
#: Words in names of classes and in ids that say that an element is no part of the text.
_TELLING = _words(
    "nav navbar navigation menu sidebar breadcrumb breadcrumbs footer cookie cookies consent gdpr"
    " share sharing social related recommended advert adverts advertisement ad ads promo sponsor"
    " sponsored popup modal newsletter subscribe signup login pagination pager toc skiplink"
    " headerlink editsection toolbar widget widgets banner hidden noprint comment comments disqus"
    " search searchbox masthead"
)
_TELLING_PAIRS = _words("sr-only visually-hidden screen-reader skip-link skip-to back-to")
_NEVER_TELLING = _words("html body main article section h1 h2 h3 h4 h5 h6")
_HIDING = re.compile(r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden", re.IGNORECASE)

_BLOCKS = _words(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption figure"
    " form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main ol p pre section summary table"
    " tbody tfoot thead tr ul"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
#: Han, kana, Thai, Lao, Burmese, Khmer: scripts without spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCE_ENDS = tuple(".!?\u2026\u3002\uff01\uff1f\u0964\u061f\"'\u201d\u2019)")
_LINE_BREAK = "\n"

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
#: Elements that hold nothing, and those whose start ends an open one of the same name.
_NOT_NESTING = _words(
    "area base br col embed hr img input link meta param source track wbr p li td th tr dt dd"
    " option tbody thead tfoot"
)

#: How a block is marked: within `main`, within an `article`.
_IN_MAIN, _IN_ARTICLE = 1, 2


class UnfitError(ValueError):
    """A page that cannot be read; says why, and nothing of its content."""


class _Block(NamedTuple):
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
        if self.link_share > MAXIMUM_LINK_SHARE or self.level:
            return False
        sentence = self.words >= SENTENCE_WORDS and self.text.endswith(_SENTENCE_ENDS)
        return sentence or self.words >= PROSE_WORDS


def extract(html: str) -> str:
    """Takes the text out of a page.

    Args:
        html: The page, decoded.

    Returns:
        Its blocks, a blank line between them; empty if there is no text.

    Raises:
        UnfitError: Its elements nest too deep.

    >>> extract("<nav><a href=/>Home</a></nav><p>It is <b>one</b> page, and has this to say.")
    'It is one page, and has this to say.'
    """
    if html.count("<") > CHECKED_TAGS:
        _check_depth(html)
    blocks = _blocks(html)
    marked = _marked(blocks)
    return _join(list(_chosen(blocks) if marked is None else _told(marked)))


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


def _blocks(html: str) -> list[_Block]:
    """Cuts a page into blocks, without the elements that say that they are no text."""
    data = html.replace("\0", "").encode("utf-8", "replace")
    target = _Target()
    parser = etree.HTMLParser(
        target=target, encoding="utf-8", recover=True, no_network=True, huge_tree=True
    )
    try:
        parser.feed(data)
        parser.close()
    except etree.XMLSyntaxError:  # nothing at all, or what no browser shows either
        target.close()
    return target.blocks


class _Target:
    """Takes the parser's events and puts the text between two borders of blocks together.

    Attributes:
        blocks: What was found.
    """

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self._parts: list[str] = []
        self._link_characters = 0
        self._links = self._preformatted = self._level = 0
        self._item = False
        self._skipped = 0
        #: Of each open element how it is marked, itself and what it stands in.
        self._marks = [0]
        self._found = {_IN_MAIN: 0, _IN_ARTICLE: 0}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if (
            self._skipped
            or name in _LEFT_OUT
            or ((attributes or name == "aside") and _is_left_out(name, attributes))
        ):
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

    def _mark(self, name: str, attributes: dict[str, str]) -> int:
        mark = 0
        if name == "main" or attributes.get("role") == "main":
            mark = _IN_MAIN
        elif name == "article":
            mark = _IN_ARTICLE
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
            block = _Block(text, share, self._level, self._item, marks, _count(text))
            self.blocks.append(block)
            self._item = False
        self._link_characters = 0


def _is_left_out(name: str, attributes: dict[str, str]) -> bool:
    """Whether an element says by its attributes that it is no part of the text."""
    role = attributes.get("role", "").lower()
    if name == "aside" and role not in _ROLES_OF_NOTES:
        return "footnote" not in attributes.get("class", "")
    if name in _NEVER_TELLING:
        return False
    return (
        role in _ROLES_LEFT_OUT
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or any(map(_tells, attributes.get("class", "").split()))
        or _tells(attributes.get("id", ""))
        or ("style" in attributes and _HIDING.search(attributes["style"]) is not None)
    )


@functools.lru_cache(maxsize=2**14)
def _tells(name: str) -> bool:
    """Whether the name of a class, or an id, says that its element is no part of the text."""
    parts = name.lower().replace("_", "-").split("-")
    if len(parts) > MAXIMUM_NAME_PARTS:
        return False
    pair = "-".join(parts[:2])
    return pair in _TELLING_PAIRS or parts[0] in _TELLING or parts[-1] in _TELLING


def _count(text: str) -> int:
    words = len(text.split())
    return words if text.isascii() else words + len(_UNSPACED.findall(text)) // 2


def _marked(blocks: Sequence[_Block]) -> Sequence[_Block] | None:
    """The blocks of the one part that the page marks as its main one, if it holds enough."""
    words = sum(block.words for block in blocks)
    for mark in (_IN_MAIN, _IN_ARTICLE):
        marked = [block for block in blocks if block.marks & mark]
        if sum(block.words for block in marked) > MINIMUM_MAIN_SHARE * words:
            return marked
    return None


def _told(blocks: Sequence[_Block]) -> Iterator[_Block]:
    """Leaves out runs of links: a page that marks its main part has little else in it."""
    for number, block in enumerate(blocks):
        near = blocks[max(0, number - NEAR_BLOCKS) : number + NEAR_BLOCKS + 1]
        if any(other.link_share <= MAXIMUM_LINK_SHARE for other in near):
            yield block


def _chosen(blocks: Sequence[_Block]) -> Iterator[_Block]:
    """Leaves out what is mostly links, and what is short and stands near no prose."""
    prose = [block.is_prose for block in blocks]
    for number, block in enumerate(blocks):
        if block.link_share > MAXIMUM_LINK_SHARE and not block.level:
            continue
        near = prose[max(0, number - NEAR_BLOCKS) : number + NEAR_BLOCKS + 1]
        if block.level or any(near):
            yield block


def _join(blocks: list[_Block]) -> str:
    """Blocks with a blank line between, items of a list without, headings only above text."""
    parts: list[str] = []
    level_below, item_below = 0, False
    for block in reversed(blocks):
        if block.level and (not parts or 0 < level_below <= block.level):
            continue
        parts.append("\n" if block.item and item_below else "\n\n")
        parts.append(f"- {block.text}" if block.item else block.text)
        level_below, item_below = block.level, block.item
    return "".join(reversed(parts)).strip()
