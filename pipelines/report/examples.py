"""What each rule keeps and what it drops, side by side, to read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from llm_keras.data import curated
from llm_keras.pages.markup import Html, details, join, number, section, tag
from llm_keras.pages.quotes import figure
from pipelines.report.facts import CorpusFacts, Facts, percent

EXCERPT_CHARACTERS = 420
#: Rules that are open when the page opens.
OPEN = 1


def examples(facts: CorpusFacts) -> Html:
    """The section with examples for each rule that dropped something."""
    occurred = [reason for reason, count in facts.reasons.items() if count]
    if not occurred:
        return section("Kept and dropped, rule by rule", tag("p", "Nothing was dropped."))
    kept = _Kept(facts)
    said = (
        "For each rule, the most frequent first: what it dropped, beside a document that was kept:"
        " of the same source where there is one, and of copies the document that stays."
    )
    blocks = [_rule(facts, reason, kept, place < OPEN) for place, reason in enumerate(occurred)]
    parts = [tag("p", said, class_="note"), *blocks]
    if not facts.rejected.whole:
        parts.append(tag("p", seen(facts), class_="note"))
    return section("Kept and dropped, rule by rule", *parts)


def seen(facts: CorpusFacts) -> str:
    """How much of what was dropped was looked through."""
    return (
        f"Only the first {number(facts.rejected.rows)} dropped documents were looked through for"
        " this."
    )


class _Kept:
    """Kept documents by source, each shown as seldom as can be."""

    def __init__(self, facts: CorpusFacts) -> None:
        by_source: dict[str, list[Facts]] = {}
        for document in facts.kept:
            by_source.setdefault(document["source"], []).append(document)
        self._of_source = {name: itertools.cycle(each) for name, each in by_source.items()}
        self._of_any = itertools.cycle(facts.kept)

    def beside(self, source: str) -> Facts | None:
        """The next one of a source, else the next of any."""
        return next(self._of_source.get(source, self._of_any), None)


def _rule(facts: CorpusFacts, reason: str, kept: _Kept, is_open: bool) -> Html:
    count = facts.reasons[reason]
    title = tag("b", reason.replace("_", " "))
    share = percent(count, facts.total("in"))
    documents = "document" if count == 1 else "documents"
    told = tag("span", f" {number(count)} {documents}, {share} of all", class_="count")
    found = facts.rejected.examples.get(reason, [])
    pairs = [_pair(facts, document, kept) for document in found]
    if not pairs:
        pairs = [tag("p", "None among those that were looked through.", class_="note")]
    if is_open:
        return join([tag("h3", title, told), *pairs])
    return details(join([title, told]), *pairs)


def _pair(facts: CorpusFacts, dropped: Facts, kept: _Kept) -> Html:
    copy = curated.copy_of(str(dropped["detail"]))
    beside: dict[str, Any] | None
    beside = kept.beside(dropped["source"]) if copy is None else facts.there.get(copy.id)
    return pair(dropped, beside, copy.id if copy else None)


def pair(dropped: Facts, kept: Facts | None, stays: str | None = None) -> Html:
    """A dropped document and the one beside it.

    Args:
        dropped: With reason and detail.
        kept: None: it is not here.
        stays: The id of the one that it is a copy of.
    """
    return tag("div", *_sides(dropped, kept, stays), class_="pair")


def _sides(dropped: Facts, kept: Facts | None, stays: str | None) -> Iterator[Html]:
    yield tag("div", tag("h4", "Dropped"), _shown(dropped), class_="dropped")
    if kept is None:
        missing = f"{stays or 'None'} is not in this corpus, or was not looked through."
        yield tag("div", tag("h4", "Kept"), tag("p", missing, class_="note"))
        return
    title = "Kept" if "reason" not in kept else "Stayed at that step, dropped later"
    yield tag("div", tag("h4", title), _shown(kept), class_="kept")


def _shown(document: Facts) -> Html:
    if document.get("id") is None:
        place = tag("p", str(document.get("locator") or ""), class_="note")
        return join([figure(document, EXCERPT_CHARACTERS), place])
    return figure(document, EXCERPT_CHARACTERS)
