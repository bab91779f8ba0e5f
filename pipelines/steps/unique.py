r"""Steps `urls` and `duplicates`: of documents with equal keys one stays.

    part -> keys, sorted; later ones of equal keys \
                 first ones, in files -> by key: sorted -> by block of parts: which rows go

A key is a hash of the text, or of the address. No text is moved, and of equal keys each part sends
one: a text that makes up a tenth of the corpus costs one row a part.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm_keras.data.document import content_digest
from llm_keras.data.screening import normalize_url
from pipelines import index, keys, parts, removals, storage
from pipelines.quiet import beam
from pipelines.workplace import Workplace

#: A row that goes: its place, the row of its own part that goes before it (ELSEWHERE: none), and
#: the id of the one that stays.
GONE = np.dtype(
    [
        ("part", np.uint32),
        ("row", np.uint32),
        ("through", np.uint32),
        ("source", np.uint16),
        ("id0", np.uint64),
        ("id1", np.uint32),
    ]
)

#: (path of the part, rows left) -> their keys [n, 16] in bytes, their ranks, and the rows that
#: have a key, as indices into `rows left`.
Keys = Callable[[str, list[int], Workplace], tuple[Any, Any, Any]]


@dataclass(frozen=True)
class Unique:
    """One way of being equal.

    Args:
        name: Of the step.
        keys: Gives the keys of a part.
    """

    name: str
    keys: Keys


class RemoveEqual(beam.PTransform):
    """Numbers of parts -> counts; leaves the files of `removals`.

    Args:
        how: What is compared.
        place: Where the parts are.
        partitions: How many workers may compare at once.
    """

    def __init__(self, how: Unique, place: Workplace, partitions: int) -> None:
        super().__init__()
        self.how, self.place, self.partitions = how, place, partitions

    def expand(self, numbers: Any) -> Any:
        """Two groupings: by key, then by block of parts."""
        found = numbers | "Keys" >> beam.ParDo(
            _KeysOfPart(self.how, self.place, self.partitions)
        ).with_outputs("gone", "counts", main="keys")
        every = [found.keys]
        if self.place.indices:
            remembered = numbers.pipeline | "Remembered" >> beam.Create(self.place.indices)
            recall = Recall(self.place, self.partitions, self.how.name)
            every.append(remembered | "Recall" >> beam.ParDo(recall))
        compared = (
            every
            | "AllKeys" >> beam.Flatten()
            | "ByKey" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMapTuple(lambda _, places: compare(keys.gathered(places)))
        )
        folder, sources = self.place.of(self.how.name), self.place.sources
        written = (
            (found.gone, compared)
            | "AllGone" >> beam.Flatten()
            | "ByBlock" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(lambda block, pieces: _write(block, pieces, folder, sources))
        )
        name = self.how.name
        removed = written | "Removed" >> beam.Map(lambda n: {"steps": {name: {"dropped": n}}})
        return (found.counts, removed) | "Counts" >> beam.Flatten()


class _KeysOfPart(beam.DoFn):
    def __init__(self, how: Unique, place: Workplace, partitions: int) -> None:
        self.how, self.place, self.partitions = how, place, partitions

    def process(self, part: int) -> Iterator[Any]:
        table, left = keys_of_part(part, self.place, self.how)
        table = keys.sort(table)
        first = keys.first_of_each(table)
        stays = first == np.arange(len(table))
        spilled = storage.join(self.place.of(self.how.name), f"keys-{part:08d}.rows")
        yield from keys.spill(spilled, table[stays], self.partitions)
        yield from (
            beam.pvalue.TaggedOutput("gone", each)
            for each in by_block(gone(table[~stays], table[first[~stays]], near=True))
        )
        counts = {"steps": {self.how.name: {"in": left}}}
        yield beam.pvalue.TaggedOutput("counts", counts)


def keys_of_part(part: int, place: Workplace, how: Unique) -> tuple[keys.Rows, int]:
    """The keys of a part's documents that are left, and how many documents that is."""
    path = place.part(part)
    ids = parts.columns(path, "id")["id"].to_pylist()
    left = place.left(part, len(ids))
    found, ranks, having = how.keys(path, left, place)
    rows = np.asarray(left, np.uint32)[having]
    names = [ids[row] for row in rows]
    return keys.build(found, names, ranks, place.source_numbers, part, rows), len(left)


def remembered_keys(folder: str, step: str, place: Workplace) -> Iterator[keys.Rows]:
    """The keys of documents that earlier runs left in a folder."""
    return index.tables(folder, step, place.source_numbers, place.snapshot)


class Recall(beam.DoFn):
    """What earlier runs left of a step in a folder.

    Args:
        place: Where this run's parts are.
        partitions: How many workers may compare at once.
        step: Its name.
        remembered: (folder, step, place) -> tables.
    """

    def __init__(
        self,
        place: Workplace,
        partitions: int,
        step: str,
        remembered: Callable[[str, str, Workplace], Iterator[keys.Rows]] = remembered_keys,
    ) -> None:
        self.place, self.partitions, self.step = place, partitions, step
        self.remembered = remembered

    def process(self, folder: str) -> Iterator[tuple[int, keys.Place]]:
        """Cuts it as this run's is cut."""
        name = hashlib.sha256(folder.encode()).hexdigest()[:16]
        for number, table in enumerate(self.remembered(folder, self.step, self.place)):
            path = storage.join(self.place.of(self.step), f"recalled-{name}-{number:08d}.rows")
            yield from keys.spill(path, table, self.partitions)


def compare(table: keys.Rows) -> Iterator[tuple[int, bytes]]:
    """Of all rows of some keys those that go, by block of their part."""
    table = keys.sort(table)
    first = keys.first_of_each(table)
    goes = (first != np.arange(len(table))) & (table["part"] != keys.ELSEWHERE)
    yield from by_block(gone(table[goes], table[first[goes]], near=False))


def gone(rows: keys.Rows, kept: keys.Rows, *, near: bool) -> keys.Rows:
    """Rows that go in favour of others.

    Args:
        rows: Those that go.
        kept: For each the one that stays.
        near: Whether the two are of one part, so that the other may go yet.
    """
    table = np.zeros(len(rows), GONE)
    table["part"], table["row"] = rows["part"], rows["row"]
    table["through"] = kept["row"] if near else keys.ELSEWHERE
    for name in ("source", "id0", "id1"):
        table[name] = kept[name]
    return table


def by_block(table: keys.Rows) -> Iterator[tuple[int, bytes]]:
    """Cuts rows that go by the block of their part."""
    yield from cut(table, table["part"])


def cut(table: keys.Rows, numbers: keys.Rows) -> Iterator[tuple[int, bytes]]:
    """Cuts rows by the block of the part that each concerns."""
    blocks = removals.block_of(numbers)
    for block in np.unique(blocks):
        yield int(block), table[blocks == block].tobytes()


def _write(block: int, pieces: Any, folder: str, sources: tuple[str, ...]) -> int:
    table = keys.joined(pieces, GONE)
    return removals.write(folder, block, resolve(table, sources))


def resolve(table: keys.Rows, sources: tuple[str, ...]) -> list[removals.Removal]:
    """Names for every row that goes the document that stays in the end."""
    final = {
        (int(row["part"]), int(row["row"])): keys.id_text(row, sources)
        for row in table[table["through"] == keys.ELSEWHERE]
    }
    found = dict(final)
    for row in table[table["through"] != keys.ELSEWHERE]:
        part, through = int(row["part"]), int(row["through"])
        found[part, int(row["row"])] = final.get((part, through)) or keys.id_text(row, sources)
    return [(part, row, kept) for (part, row), kept in found.items()]


def text_keys(path: str, left: list[int], place: Workplace) -> tuple[Any, Any, Any]:
    """The digests of the texts."""
    found = parts.columns(path, "digest", "source")
    digests = np.frombuffer(b"".join(found["digest"].to_pylist()), np.uint8).reshape(-1, 16)
    sources = found["source"].to_pylist()
    return digests[left], ranks([sources[row] for row in left], place), np.arange(len(left))


def ranks(sources: list[str], place: Workplace) -> Any:
    """The least stays: what is there from earlier runs, then by priority."""
    return np.array([keys.FIRST_RANK - place.priorities[name] for name in sources], np.uint64)


def address_keys(path: str, left: list[int], _place: Workplace) -> tuple[Any, Any, Any]:
    """Digests of the normalised addresses, of the documents that have one; the newest stays."""
    found = parts.columns(path, "url", "timestamp", "source")
    urls, times = found["url"].to_pylist(), found["timestamp"].to_pylist()
    having = np.array([index for index, row in enumerate(left) if urls[row]], np.int64)
    rows = [left[index] for index in having]
    digests = [content_digest(normalize_url(urls[row])) for row in rows]
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    newest = np.array([_seconds_before_end(times[row]) for row in rows], np.uint64)
    return table, newest, having


def _seconds_before_end(timestamp: str | None) -> int:
    """A rank that is less the later a time is; no time is before all times."""
    if timestamp is None:
        return 2**62
    try:
        time = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        return 2**62
    utc = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
    return 2**61 - int(utc.timestamp())
