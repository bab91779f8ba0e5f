"""Reads a page as a browser would: elements, attributes, visible text, unclosed elements."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What is on a page.

    Attributes:
        tags: Names of all elements, in order.
        attributes: Names and values of all attributes.
        open: Elements that were not closed.
        pieces: The visible text.
    """

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """An element ends: the one that began last."""
        assert self.open.pop() == tag
        self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        """Text."""
        if not self.open or self.open[-1] != "style":
            self.pieces.append(data)

    @property
    def text(self) -> str:
        """What one reads, with single spaces."""
        return " ".join("".join(self.pieces).split())

    def values(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [value for found, value in self.attributes if found == name]
