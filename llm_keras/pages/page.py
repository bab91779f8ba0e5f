"""The document around what a page says: head, policy, style."""

from __future__ import annotations

from llm_keras.pages.markup import Html, tag
from llm_keras.pages.style import STYLE

#: A page may show its own styles and nothing else: no script, no request, whatever is in a text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, *content: Html, style: str = "") -> str:
    """The whole document.

    Args:
        title: What a browser shows on the tab.
        content: What stands in the body.
        style: CSS beside that of every page.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE + style)),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", *content), lang="en")


def tiles(found: list[tuple[str, str]]) -> Html:
    """The figures that one looks for first, each with what it is; nothing where there are none."""
    each = [tag("div", tag("b", figure), tag("span", meaning)) for figure, meaning in found]
    return tag("div", *each, class_="tiles") if each else Html()
