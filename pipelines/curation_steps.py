"""The steps of a curation in their order, each with its settings."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llm_keras.data.decontamination import Contamination
from pipelines import components, index, keys, storage
from pipelines.counts import Counts
from pipelines.files import SourceFile
from pipelines.sources import KINDS
from pipelines.stepping import Steps
from pipelines.steps import rounds, unique
from pipelines.steps.carry import PREVIOUS, Carry
from pipelines.steps.finish import FINISH, Finish, Work
from pipelines.steps.lines import LINES, RemoveLines
from pipelines.steps.near import BANDS, NEAR, FindEdges, RemoveNear
from pipelines.steps.read import Read
from pipelines.steps.remember import REMEMBER, Remember
from pipelines.steps.unique import RemoveEqual, Unique
from pipelines.tasks import largest_first, tasks_of
from pipelines.workplace import CARRY, Workplace


class Earlier(NamedTuple):
    """A curation that another adds to.

    Args:
        corpus: Its folder.
        files: Names of its files below that: documents, rejects, dead letters.
        again: `source/locator` of every file that is read again, or is gone.
    """

    corpus: str
    files: list[str]
    again: frozenset[str]


#: Edges that one worker holds: some 5 GB at the most. Beyond, rounds of stars.
EDGES_IN_ONE_WORKER = 20_000_000
#: The steps that count documents, in their order.
STEPS = ("read", "urls", "duplicates", NEAR, LINES, FINISH)
#: Settings that the step `read` does not look at.
_LATER = {
    "workers",
    "shards",
    "validation_fraction",
    "validation_subsets",
    "test_fraction",
    "maximum_dead_fraction",
    "deduplicate",
    "decontaminate",
    "mixture",
}


def curated(
    steps: Steps,
    place: Workplace,
    sources: Sequence[Sequence[SourceFile]],
    *,
    limit: int | None = None,
    earlier: Earlier | None = None,
) -> Counts:
    """Performs all steps; returns their counts together.

    Args:
        steps: Performs one.
        place: Where they work.
        sources: The files of each source that are to be read.
        limit: Documents of each source to read at most; None: all.
        earlier: A curation that this one adds to; None: there is none.
    """
    corpus = place.run.corpus
    carried: Counts = {}
    if earlier is not None:
        carried = steps.perform(
            CARRY, sorted(earlier.again), earlier.files, Carry(place, earlier.corpus, earlier.again)
        )
        place = _compared_with(place, carried)
    settings = corpus.model_dump(mode="json", exclude=_LATER) | {"limit": limit}
    in_pieces = {source.name: KINDS[source.kind].in_pieces for source in corpus.sources}
    tasks = map(tuple, largest_first(tasks_of(map(sorted, sources), limit, in_pieces)))
    read = steps.perform("read", settings, tasks, Read(place))
    parts = sorted(int(number) for number in read.get("parts", {}))
    place = _without_duplicates(steps, place, parts)
    if corpus.deduplicate.lines:
        partitions = keys.count_partitions(len(parts))
        steps.perform(LINES, None, parts, RemoveLines(place, partitions))
    if corpus.deduplicate.near is not None and parts:
        place = _without_near_duplicates(steps, place, parts)
    if corpus.deduplicate.index is not None and parts:
        _remember(steps, place, parts, corpus.deduplicate.index)
    settings = corpus.model_dump(mode="json", exclude={"workers", "mixture"})
    works = [tuple(work) for work in _works(read, carried)]
    finish = Finish(place, _contamination(place))
    steps.perform(FINISH, [place.run.seed, settings], works, finish)
    return steps.total()


def _compared_with(place: Workplace, carried: Counts) -> Workplace:
    """The workplace, where documents are compared with those that were carried on."""
    folder = storage.join(place.of(CARRY), PREVIOUS)
    files = {step: sorted(names) for step, names in carried.get("remembered", {}).items()}
    index.publish(folder, PREVIOUS, place.sources, place.run.corpus.deduplicate.near, files)
    return dataclasses.replace(place, indices=(*place.indices, folder))


def _ways(place: Workplace) -> Iterator[Unique]:
    """The ways of being equal that are looked for, in their order."""
    deduplicate = place.run.corpus.deduplicate
    if deduplicate.urls:
        yield Unique("urls", unique.address_keys)
    if deduplicate.exact:
        yield Unique("duplicates", unique.text_keys)


def _without_duplicates(steps: Steps, place: Workplace, parts: Sequence[int]) -> Workplace:
    partitions = keys.count_partitions(len(parts))
    for way in _ways(place):
        settings = place.run.corpus.deduplicate.model_dump(mode="json")
        steps.perform(way.name, settings, parts, RemoveEqual(way, place, partitions))
        place = _after(place, way.name)
    return place


def _after(place: Workplace, step: str) -> Workplace:
    return dataclasses.replace(place, removing=(*place.removing, step))


def _without_near_duplicates(steps: Steps, place: Workplace, parts: Sequence[int]) -> Workplace:
    deduplicate = place.run.corpus.deduplicate
    settings = deduplicate.near
    assert settings is not None
    partitions = keys.count_partitions(len(parts))
    find = FindEdges(place, settings, partitions)
    found = steps.perform(BANDS, deduplicate.model_dump(mode="json"), parts, find)
    edges: dict[str, int] = found.get("edges", {})
    folder = place.of(BANDS)
    lists = [sorted(edges)]
    if sum(edges.values()) > EDGES_IN_ONE_WORKER:
        folder, names = _in_rounds(steps, place, sorted(edges), partitions)
        lists = [[name] for name in names]  # each edge leads to the least: they need not meet
    steps.perform(NEAR, None, lists, RemoveNear(place, folder, settings))
    return _after(place, NEAR)


def _in_rounds(
    steps: Steps, place: Workplace, names: list[str], partitions: int
) -> tuple[str, list[str]]:
    """Rounds of stars until nothing changes; the folder and the files of the last edges."""
    folder, before, number = place.of(BANDS), None, 0
    while True:
        for star in (components.large_star, components.small_star):
            step = f"round-{number:03d}"
            target = place.of(step)
            made = steps.perform(step, None, names, rounds.Round(star, folder, target, partitions))
            folder, names, number = target, sorted(made["edges"]), number + 1
        if made["checksum"] == before:
            return folder, names
        before = made["checksum"]


def _remember(steps: Steps, place: Workplace, parts: Sequence[int], folder: str) -> None:
    settings = place.run.corpus.deduplicate.near
    snapshot = storage.join(folder, place.snapshot)
    remember = Remember(place, tuple(_ways(place)), settings, snapshot)
    made = steps.perform(REMEMBER, snapshot, parts, remember)
    files = {step: sorted(names) for step, names in made["remembered"].items()}
    index.publish(folder, place.snapshot, place.sources, settings, files)


def _contamination(place: Workplace) -> str | None:
    """The file of what documents are compared with."""
    settings = place.run.corpus.decontaminate
    if settings is None:
        return None
    path = storage.join(place.folder, "contamination.bin")
    with tempfile.TemporaryDirectory(prefix="llm-keras-") as folder:
        local = Path(folder) / "contamination.bin"
        Contamination.load(settings).write(local)
        storage.write(path, local.read_bytes())
    return path


def _works(read: Counts, carried: Counts) -> Iterator[Work]:
    for number, part in read.get("parts", {}).items():
        yield Work("part", int(number), part["documents"])
    for number, task in read.get("tasks", {}).items():
        for kind in ("rejected", "dead"):
            if task[kind]:
                yield Work(kind, int(number), task[kind])
    for number, (name, rows) in enumerate(sorted(carried.get("carried", {}).items())):
        if rows:
            yield Work("carried", number, rows, name)


def describe_step(name: str, counts: Any) -> dict[str, Any]:
    """What went into a step, what came out, and whether it did nothing at all."""
    taken, dropped = counts.get("in", 0), counts.get("dropped", 0)
    dead, lines = counts.get("dead", 0), counts.get("lines", 0)
    idle = bool(taken) and not dropped and not dead and not lines and name != FINISH
    return {
        "step": name,
        "in": taken,
        "out": taken - dropped - dead,
        "dropped": dropped,
        "dead": dead,
        **({"lines": lines} if lines else {}),
        "alarm": "dropped nothing at all: is that so?" if idle else None,
    }
