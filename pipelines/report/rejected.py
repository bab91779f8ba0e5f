"""Dropped documents, looked through once: examples for each reason, and clusters of copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_keras.data import curated

#: Examples of each reason, if possible of other sources, and copies of other documents.
MOST_EXAMPLES = 3
LEAST_EXAMPLES = 2
#: Clusters that are shown.
CLUSTERS_SHOWN = 8


@dataclass
class Cluster:
    """Copies that were dropped in favour of one document.

    Attributes:
        stays: Its id.
        reasons: How many copies went for which reason.
        least: The least similarity to it that was estimated; None: all are equal.
        copy: The id of the copy that is least like it.
    """

    stays: str
    reasons: Counter[str] = field(default_factory=Counter)
    least: float | None = None
    copy: str | None = None

    @property
    def copies(self) -> int:
        """How many were dropped."""
        return self.reasons.total()

    def add(self, reason: str, found: curated.CopyOf, name: str | None) -> None:
        """One more copy."""
        self.reasons[reason] += 1
        less = found.similarity is not None and (
            self.least is None or found.similarity < self.least
        )
        if less:
            self.least = found.similarity
        if less or self.copy is None:
            self.copy = name


@dataclass
class Rejected:
    """What dropped documents say.

    Attributes:
        examples: Some documents for each reason.
        clusters: By the id of the document that stays.
        rows: How many were looked through.
        whole: Whether these are all.
    """

    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    rows: int = 0
    whole: bool = True

    def largest(self) -> list[Cluster]:
        """The clusters of the most copies."""
        ranked = sorted(self.clusters.values(), key=lambda each: (-each.copies, each.stays))
        several = [cluster for cluster in ranked if cluster.copies > 1]
        return (several or ranked[:1])[:CLUSTERS_SHOWN]

    def ids_to_show(self) -> set[str]:
        """Of documents that the page shows beside a copy, and of copies beside these."""
        ids = {name for each in self.largest() for name in (each.stays, each.copy) if name}
        for documents in self.examples.values():
            found = (curated.copy_of(str(document["detail"])) for document in documents)
            ids.update(each.id for each in found if each is not None)
        return ids

    def add(self, line: bytes, path: Path) -> None:
        """One line of a file of dropped documents."""
        self.rows += 1
        reason, detail = curated.why(line) or _decoded_why(line, path)
        name = curated.id_of(line)
        if (found := curated.copy_of(detail)) is not None:
            if found.id not in self.clusters:
                self.clusters[found.id] = Cluster(found.id)
            self.clusters[found.id].add(reason, found, name)
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MOST_EXAMPLES and _is_new(name, detail, examples):
            examples.append(curated.decoded(line, path))


def _decoded_why(line: bytes, path: Path) -> tuple[str, str]:
    """Reason and detail, in whatever order somebody has written the fields."""
    row = curated.decoded(line, path)
    return str(row.get("reason")), str(row.get("detail"))


def _is_new(name: str | None, detail: str, examples: list[dict[str, Any]]) -> bool:
    """Whether it shows something that the examples do not."""
    if (copy := curated.copy_of(detail)) is not None:
        return not any(f"of {copy.id}" in str(each["detail"]) for each in examples)
    if len(examples) < LEAST_EXAMPLES:
        return True
    source = None if name is None else name.rpartition(":")[0]
    return source not in {each["source"] for each in examples}


def read(folder: Path, most_bytes: int) -> Rejected:
    """Looks through the dropped documents of a folder.

    Args:
        folder: Of their files.
        most_bytes: Text that is looked through at most.

    Raises:
        UserError: A file is damaged.
    """
    found = Rejected()
    for line, path in _lines(folder):
        most_bytes -= len(line)
        if most_bytes < 0:
            found.whole = False
            break
        found.add(line, path)
    return found


def _lines(folder: Path) -> Iterator[tuple[bytes, Path]]:
    for path in curated.files(folder):
        for line in curated.lines(path):
            yield line, path
