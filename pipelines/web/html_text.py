"""The text of a web page, without what surrounds it: menus, footers, forms, notices.

The tree is walked once and cut into blocks (paragraphs, headings, list items, rows of tables).
Elements that say what they are (`nav`, `footer`, roles, telling class names) are left out with all
they hold; where a page marks its main part, only that is read. Of the blocks that remain, those
that are mostly links, and short ones with no prose beside them, are left out.

References:
    Kohlschuetter et al. 2010, Boilerplate detection using shallow text features, section 3 (link
    density and text density of blocks and their neighbours).
    docs/decisions/0011-html-extraction.md compares it with others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from lxml import etree


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Elements within elements. Pages of people stay below 100; some parsers take time that grows with
#: the square of it, others lose the rest of the page.
MAXIMUM_DEPTH = 1000

#: A block with a larger share of its characters in links is no prose.
MAXIMUM_LINK_SHARE = 0.5
#: A block of so many words is prose if it is not mostly links.
PROSE_WORDS = 10
#: The main part that a page marks must have this share of its words to be believed.
MINIMUM_MAIN_SHARE = 0.3

_LEFT_OUT = _words(
    "script style noscript template svg math canvas iframe object embed audio video map head"
    " button select option input textarea datalist dialog nav footer aside menu"
)
_ROLES_LEFT_OUT = _words(
    "navigation banner contentinfo search complementary dialog alertdialog menu menubar toolbar"
    " tooltip alert"
)
#: Words in class and id that say that an element is no part of the text.
_TELLING = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation)?|menu|sidebar|side-?bar|breadcrumbs?|footer|foot|cookies?|consent"
    r"|share|sharing|social|related|recommended|advert(?:isement)?s?|ads?|promo|sponsor(?:ed)?"
    r"|popup|modal|newsletter|subscribe|signup|login|pagination|pager|toc|skip-?(?:link|to-?\w+)"
    r"|headerlink|editsection|mw-editsection|toolbar|widget|banner|hidden|sr-only|visually-?hidden"
    r"|noprint|comments?|disqus|tags?|byline-?share|searchbox|search)(?:$|[\s_-])",
    re.IGNORECASE,
)
_NEVER_TELLING = frozenset(("html", "body", "main", "article"))
_HIDING_STYLE = re.compile(r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden", re.I)

_BLOCKS = _words(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption figure"
    " form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main ol p pre section summary table"
    " tbody tfoot thead tr ul"
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
#: Han, kana, Thai, Lao, Khmer, Burmese: scripts without spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SPACE = re.compile(r"[\s\u00a0]+")
_PARSER_LIMITS = {"recover": True, "no_network": True, "remove_comments": True, "remove_pis": True}


class UnfitError(ValueError):
    """A page that cannot be read; says why, and nothing of its content."""


class _Block(NamedTuple):
    """A run of text that stands for itself.

    Args:
        text: It, white space joined, except in `pre`.
        link_share: Share of its characters that stand in links.
        heading: Whether it is one.
        item: Whether it is an item of a list.
    """

    text: str
    link_share: float
    heading: bool
    item: bool

    @property
    def words(self) -> int:
        """Words; where none are set apart, two characters are one."""
        return len(self.text.split()) + len(_UNSPACED.findall(self.text)) // 2

    @property
    def is_prose(self) -> bool:
        return self.link_share <= MAXIMUM_LINK_SHARE and self.words >= PROSE_WORDS


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
    check_depth(html)
    root = _parse(html)
    if root is None:
        return ""
    blocks = list(_blocks(root))
    main = _main(root, sum(block.words for block in blocks))
    if main is not None:
        blocks = list(_blocks(main))
    return _join(_chosen(blocks))


_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
#: Elements that hold nothing, and those whose start ends an open one of the same name.
_NOT_NESTING = _words(
    "area base br col embed hr img input link meta param source track wbr p li td th tr dt dd"
    " option tbody thead tfoot"
)


def check_depth(html: str) -> None:
    """Refuses a page whose elements nest deeper than `MAXIMUM_DEPTH`, before it is parsed.

    Raises:
        UnfitError: They do.
    """
    if html.count("<") <= MAXIMUM_DEPTH:
        return
    depth = 0
    for end, name in _TAG.findall(html):
        if name.lower() in _NOT_NESTING:
            continue
        depth = max(0, depth - 1) if end else depth + 1
        if depth > MAXIMUM_DEPTH:
            raise UnfitError(f"elements nested deeper than {MAXIMUM_DEPTH}")


def _parse(html: str) -> Any | None:
    """The tree of a page; None if it has no element."""
    data = html.replace("\0", "").encode("utf-8", "replace")
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, **_PARSER_LIMITS)
    try:
        return etree.fromstring(data, parser) if data.strip() else None
    except etree.XMLSyntaxError:
        return None


def _main(root: Any, words: int) -> Any | None:
    """The one element that the page marks as its main part, if it holds enough of the words."""
    for path in ("//main", "//*[@role='main']", "//article"):
        found = root.xpath(path)
        if len(found) == 1:
            there = sum(block.words for block in _blocks(found[0]))
            return found[0] if there >= MINIMUM_MAIN_SHARE * words else None
    return None


def _blocks(root: Any) -> Iterator[_Block]:
    """Cuts a tree into blocks, without the elements that say that they are no text."""
    builder = _Builder()
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        name = element.tag
        if event == "start":
            if element is not root and _left_out(element):
                walk.skip_subtree()
                builder.skipped = True
            else:
                yield from builder.open(name, element)
        else:
            yield from builder.close(name)
            if element is not root:
                builder.add(element.tail)
    yield from builder.flush()


def _left_out(element: Any) -> bool:
    name = element.tag
    if name in _LEFT_OUT:
        return True
    attributes = element.attrib
    if not attributes or name in _NEVER_TELLING:
        return False
    if attributes.get("role", "").lower() in _ROLES_LEFT_OUT or "hidden" in attributes:
        return True
    if attributes.get("aria-hidden") == "true" or _HIDING_STYLE.search(attributes.get("style", "")):
        return True
    telling = f"{attributes.get('class', '')} {attributes.get('id', '')}"
    return len(telling) > 1 and bool(_TELLING.search(telling))


class _Builder:
    """Puts the text between two borders of blocks together."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.link_characters = 0
        self.links = self.preformatted = 0
        self.heading = self.item = False
        self.skipped = False

    def open(self, name: str, element: Any) -> Iterator[_Block]:
        if name in _BLOCKS:
            yield from self.flush()
            self.heading = name in _HEADINGS
            self.item = name == "li"
            self.preformatted += name == "pre"
        elif name == "br":
            self.parts.append("\n")
        elif name in ("td", "th"):
            self.parts.append(" ")
        elif name == "a" and element.get("href"):
            self.links += 1
        self.add(element.text)

    def close(self, name: str) -> Iterator[_Block]:
        if self.skipped:
            self.skipped = False
            return
        if name in _BLOCKS:
            yield from self.flush()
            self.preformatted -= name == "pre"
        elif name == "a":
            self.links = max(0, self.links - 1)

    def add(self, text: str | None) -> None:
        if not text:
            return
        self.parts.append(text if self.preformatted else _SPACE.sub(" ", text))
        if self.links:
            self.link_characters += len(text.strip())

    def flush(self) -> Iterator[_Block]:
        text = "".join(self.parts)
        if not self.preformatted:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
        text = text.strip("\n")
        if text.strip():
            share = min(1.0, self.link_characters / len(text))
            yield _Block(text, share, self.heading, self.item)
        self.parts.clear()
        self.link_characters = 0
        self.heading = self.item = False


def _chosen(blocks: Sequence[_Block]) -> Iterator[_Block]:
    """Leaves out what is mostly links, and what is short and stands beside no prose."""
    for number, block in enumerate(blocks):
        if block.link_share > MAXIMUM_LINK_SHARE:
            continue
        near = blocks[max(0, number - 2) : number + 3]
        if block.is_prose or block.heading or any(other.is_prose for other in near):
            yield block


def _join(blocks: Iterable[_Block]) -> str:
    """Blocks with a blank line between, items of a list without; headings only above text."""
    kept: list[_Block] = []
    for block in blocks:
        kept.append(block)
    while kept and kept[-1].heading:
        kept.pop()
    parts: list[str] = []
    for number, block in enumerate(kept):
        tight = number and block.item and kept[number - 1].item
        parts.append("\n" if tight else "\n\n")
        parts.append(f"- {block.text}" if block.item else block.text)
    return "".join(parts).strip()
