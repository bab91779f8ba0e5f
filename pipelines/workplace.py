"""Where the steps of a curation leave what later ones read, and what all of them know."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from llm_keras import config
from pipelines import parts, removals, storage
from pipelines.tasks import Task

#: The step that carries on what an earlier curation left.
CARRY = "carry"


@dataclass(frozen=True)
class Workplace:
    """One curation at work; small, because it travels with every function to the workers.

    Args:
        run: The settings.
        folder: Where the steps write; every worker reaches it.
        removing: The steps before this one that removed rows, in their order.
        known: Names of sources of earlier runs.
        snapshot: What this run is called in the index of earlier runs.
        indices: Folders of keys that documents are compared with, beside each other's.
        taken_down: Ids of documents that must not come back.
    """

    run: config.Run
    folder: str
    removing: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    snapshot: str = ""
    indices: tuple[str, ...] = ()
    taken_down: frozenset[str] = frozenset()

    def of(self, step: str) -> str:
        """The folder of a step."""
        return storage.join(self.folder, step)

    def part(self, number: int) -> str:
        """The file of a part."""
        return storage.join(self.of("read"), f"part-{number:08d}.arrow")

    def task(self, number: int, what: str) -> str:
        """A file that the reading of a task left: `rejected` or `dead`."""
        return storage.join(self.of("read"), f"task-{number:06d}-{what}.jsonl.gz")

    @functools.cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of all sources, of this run and of earlier ones, in order."""
        return tuple(sorted({*(each.name for each in self.run.corpus.sources), *self.known}))

    @functools.cached_property
    def source_numbers(self) -> dict[str, int]:
        """The place of each name in `sources`."""
        return {name: number for number, name in enumerate(self.sources)}

    @functools.cached_property
    def priorities(self) -> dict[str, int]:
        """The priority of each source."""
        return {each.name: each.priority for each in self.run.corpus.sources}

    def removed(self, part: int) -> dict[int, tuple[str, str]]:
        """The rows of a part that are gone: row -> (step, id of the one that stays)."""
        gone: dict[int, tuple[str, str]] = {}
        for step in self.removing:
            for row, kept in removals.read(self.of(step), part).items():
                gone.setdefault(row, (step, kept))
        return gone

    def left(self, part: int, rows: int) -> list[int]:
        """The rows of a part that are still there."""
        gone = self.removed(part)
        return [row for row in range(rows) if row not in gone]


#: A part's number says which task made it: parts of one task follow each other.
PARTS_A_TASK = 10_000


def part_number(task: Task, index: int) -> int:
    """The number of the index-th part of a task."""
    if index >= PARTS_A_TASK:
        most = PARTS_A_TASK * parts.PART_BYTES // 10**9
        raise ValueError(f"one file holds more than {most} GB of text; cut it into several")
    return task.number * PARTS_A_TASK + index


def in_order(numbers: Sequence[int]) -> dict[int, int]:
    """Part numbers -> their places from 0, for even shares."""
    return {number: place for place, number in enumerate(sorted(numbers))}
