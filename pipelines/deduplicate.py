"""Exact deduplication: of equal texts, or equal pairs, the one with the least id stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llm_keras.data.document import content_digest
from llm_keras.data.rules import drop
from pipelines.apply_rules import Judged

#: The reason under which copies are dropped.
DUPLICATE = "duplicate"


def drop_duplicates(judged: Iterable[Judged]) -> Iterator[Judged]:
    """Drops every text that an earlier document has.

    Args:
        judged: Documents in order of their ids, dropped ones included: a copy counts as a copy,
            whatever else is wrong with it, as if copies had been removed before all rules.
    """
    first: dict[bytes, str] = {}
    for each in judged:
        digest = content_digest(each.document.content)
        if digest in first:
            yield Judged(each.document, drop(DUPLICATE, f"of {first[digest]}"))
        else:
            first[digest] = each.document.id
            yield each
