"""How a document is shown on a page: what is known about it, and how it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_keras.pages.markup import Html, excerpt, join, tag

#: What is said of a document, in this order.
KNOWN = ("source", "subset", "language", "licence", "url")


def figure(document: Mapping[str, Any], characters: int) -> Html:
    """The beginning of a document under what is known about it.

    The text of a private one is not shown: pages are passed on.

    Args:
        document: A curated or a dropped one, as its file has it.
        characters: Most of its text that is shown.
    """
    facts = [str(fact) for fact in map(document.get, KNOWN) if fact]
    if reason := document.get("reason"):
        why = [tag("b", str(reason).replace("_", " ")), str(document.get("detail") or "")]
        facts = [*filter(None, why), *facts]
    return tag("figure", tag("figcaption", join(facts, " · ")), *quotes(document, characters))


def quotes(document: Mapping[str, Any], characters: int) -> list[Html]:
    """The beginning of the text, and of the target if there is one."""
    if document.get("private"):
        return [tag("p", "A private document: its text is not shown.", class_="note")]
    return [
        tag("blockquote", excerpt(str(document[side]), characters), dir="auto")
        for side in ("text", "target")
        if document.get(side)
    ]
