"""Copies: how many there are, and the largest clusters of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from llm_keras.pages.markup import Html, details, join, number, section, table, tag
from pipelines.report import examples
from pipelines.report.facts import CorpusFacts, Facts
from pipelines.report.rejected import Cluster

#: Copies of one document, from and to; the last has no end.
SIZES = ((1, 1), (2, 4), (5, 9), (10, 99), (100, None))


def copies(facts: CorpusFacts) -> Html:
    """The section about clusters of copies."""
    clusters = facts.rejected.clusters
    title = "Copies"
    if not clusters:
        return section(title, tag("p", "No document was dropped as a copy of another."))
    dropped = sum(cluster.copies for cluster in clusters.values())
    told = (
        f"{number(dropped)} copies of {number(len(clusters))} documents were dropped. Each is"
        " counted with the document that stayed at its step."
    )
    parts = [tag("p", told), _sizes(clusters.values())]
    if not facts.rejected.whole:
        parts.append(tag("p", examples.seen(facts), class_="note"))
    largest = [_cluster(facts, cluster) for cluster in facts.rejected.largest()]
    return section(title, *parts, tag("h3", "The largest"), *largest)


def _sizes(clusters: Iterable[Cluster]) -> Html:
    """How many documents have how many copies."""
    sizes = Counter(cluster.copies for cluster in clusters)
    rows = []
    for low, high in SIZES:
        chosen = {n: count for n, count in sizes.items() if low <= n <= (high or n)}
        if chosen:
            copies = sum(n * count for n, count in chosen.items())
            rows.append((_range(low, high), number(sum(chosen.values())), number(copies)))
    return table(["copies of one", "documents", "copies"], rows)


def _range(low: int, high: int | None) -> str:
    """Numbers from and to, in words.

    >>> _range(1, 1), _range(2, 4), _range(100, None)
    ('1', '2 to 4', '100 or more')
    """
    if high is None:
        return f"{low} or more"
    return f"{low}" if low == high else f"{low} to {high}"


def _cluster(facts: CorpusFacts, cluster: Cluster) -> Html:
    reasons = ", ".join(
        f"{number(count)} {reason.replace('_', ' ')}" for reason, count in cluster.reasons.items()
    )
    told = f" {reasons}"
    if cluster.least is not None:
        told += f"; the least similarity is {cluster.least:.2f}"
    stays = facts.there.get(cluster.stays)
    title = join(
        [
            tag("b", f"{number(cluster.copies)} {'copy' if cluster.copies == 1 else 'copies'}"),
            tag("span", told, class_="count"),
        ]
    )
    copy = facts.there.get(cluster.copy or "")
    where = tag("p", f"of {cluster.stays}", class_="note")
    return details(title, where, _beside(copy, stays, cluster))


def _beside(copy: Facts | None, stays: Facts | None, cluster: Cluster) -> Html:
    if copy is None or "reason" not in copy:
        if stays is None:
            return tag("p", "Neither is in this corpus, or was looked through.", class_="note")
        return examples.pair({**stays, "detail": "", "reason": "an equal copy"}, stays)
    return examples.pair(copy, stays, cluster.stays)
