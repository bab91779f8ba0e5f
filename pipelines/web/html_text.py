"""The text of a web page, without what surrounds it: menus, footers, forms, notices.

A page is cut into blocks (paragraphs, headings, list items, rows of tables), without the elements
that say what they are. Where it marks its main part, only that is taken. Of the blocks that remain,
those that are mostly links, and short ones with no prose near them, are left out.

References:
    Kohlschuetter et al. 2010, Boilerplate detection using shallow text features, section 3 (link
    density and text density of blocks and their neighbours).
    docs/decisions/0011-html-extraction.md compares it with others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.web import html_blocks
from pipelines.web.html_blocks import IN_ARTICLE, IN_MAIN, MAXIMUM_LINK_SHARE, Block, UnfitError

__all__ = ["UnfitError", "extract"]

#: A short block is kept if there is prose so many blocks before or after it.
NEAR_BLOCKS = 3
#: The main part that a page marks must have this share of its words to be believed.
MINIMUM_MAIN_SHARE = 0.3
#: Names of classes are not believed where less than so many characters are left, and they cost so
#: many times that. (The comments below an article may well be longer than it.)
LITTLE_CHARACTERS, MAXIMUM_LOST = 300, 4


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
    text, lost = _text(html, by_names=True)
    if len(text) < LITTLE_CHARACTERS and lost > MAXIMUM_LOST * len(text):
        text, _ = _text(html, by_names=False)
    return text


def _text(html: str, by_names: bool) -> tuple[str, int]:
    """The text, and how many characters were left out because of names alone."""
    blocks, lost = html_blocks.cut(html, by_names)
    marked = _marked(blocks)
    return _join(list(_chosen(blocks) if marked is None else _told(marked))), lost


def _marked(blocks: Sequence[Block]) -> Sequence[Block] | None:
    """The blocks of the one part that the page marks as its main one, if it holds enough."""
    words = sum(block.words for block in blocks)
    for mark in (IN_MAIN, IN_ARTICLE):
        marked = [block for block in blocks if block.marks & mark]
        if sum(block.words for block in marked) > MINIMUM_MAIN_SHARE * words:
            return marked
    return None


def _told(blocks: Sequence[Block]) -> Iterator[Block]:
    """Leaves out runs of links: a page that marks its main part has little else in it."""
    for number, block in enumerate(blocks):
        near = blocks[max(0, number - NEAR_BLOCKS) : number + NEAR_BLOCKS + 1]
        if any(other.link_share <= MAXIMUM_LINK_SHARE for other in near):
            yield block


def _chosen(blocks: Sequence[Block]) -> Iterator[Block]:
    """Leaves out what is mostly links, and what is short and stands near no prose."""
    prose = [block.is_prose for block in blocks]
    for number, block in enumerate(blocks):
        if block.link_share > MAXIMUM_LINK_SHARE and not block.level:
            continue
        near = prose[max(0, number - NEAR_BLOCKS) : number + NEAR_BLOCKS + 1]
        if block.level or any(near):
            yield block


def _join(blocks: list[Block]) -> str:
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
