r"""Step `lines`: a line stays where it stands first in the corpus, and goes everywhere else.

    part -> digest of each line -> by digest: the first part keeps it -> by part: which lines go

What earlier runs kept stands before all of this one, which the index of earlier runs knows by the
digests of their lines.

Of equal lines in one part the first is sent alone; the others go in any case, which whoever reads
the part finds out again. Lines are compared without case and white space around them, as C4's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from llm_keras.data.document import Document
from pipelines import index, keys, parts, storage
from pipelines.quiet import beam
from pipelines.steps.unique import Recall
from pipelines.workplace import Workplace

LINES = "lines"
#: A line that stands first in its part: its number among all lines of the part.
LINE = np.dtype(
    [("key0", np.uint64), ("key1", np.uint64), ("part", np.uint32), ("position", np.uint32)]
)
#: A line of an earlier run.
DIGEST = np.dtype([("key0", np.uint64), ("key1", np.uint64)])


class RemoveLines(beam.PTransform):
    """Numbers of parts -> counts; leaves, for each part, which lines go.

    Args:
        place: Where the parts are.
        partitions: How many workers may compare at once.
    """

    def __init__(self, place: Workplace, partitions: int) -> None:
        super().__init__()
        self.place, self.partitions = place, partitions

    def expand(self, numbers: Any) -> Any:
        """Two groupings: by line, then by part."""
        place, partitions = self.place, self.partitions
        found = numbers | "Digests" >> beam.FlatMap(
            lambda part: _digests(place, part, partitions)
        ).with_outputs("counts", main="lines")
        every = [found.lines]
        if place.indices:
            remembered = numbers.pipeline | "Remembered" >> beam.Create(place.indices)
            recall = Recall(place, partitions, LINES, _remembered)
            every.append(remembered | "Recall" >> beam.ParDo(recall))
        written = (
            every
            | "AllLines" >> beam.Flatten()
            | "ByLine" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMapTuple(lambda _, pieces: _compare(pieces))
            | "ByPart" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(lambda part, pieces: _write(place, part, pieces))
        )
        return (found.counts, written) | "Counts" >> beam.Flatten()


def _digests(place: Workplace, part: int, partitions: int) -> Iterator[Any]:
    texts = _texts(place, part)
    first, again = first_lines(texts)
    counts = {"steps": {LINES: {"in": len(texts), "lines": sum(again)}}}
    yield beam.pvalue.TaggedOutput("counts", counts)
    table = _rows_of(digests_of(first), part)
    table["position"] = list(first.values())
    spilled = storage.join(place.of(LINES), f"keys-{part:08d}.rows")
    yield from keys.spill(spilled, table, partitions)


def _remembered(folder: str, step: str, place: Workplace) -> Iterator[keys.Rows]:
    """The lines that earlier runs left in a folder."""
    for data in index.contents(folder, step, place.snapshot):
        yield _rows_of(np.frombuffer(data, DIGEST), keys.ELSEWHERE)


def _rows_of(digests: keys.Rows, part: int) -> keys.Rows:
    table = np.zeros(len(digests), LINE)
    table["key0"], table["key1"], table["part"] = digests["key0"], digests["key1"], part
    return table


def digests_of(lines: Iterable[bytes]) -> keys.Rows:
    """Digests of lines, as an index remembers them."""
    packed = np.frombuffer(b"".join(lines), np.uint8).reshape(-1, 16)
    table = np.zeros(len(packed), DIGEST)
    table["key0"], table["key1"] = keys.halves(packed)
    return table


def lines_of(place: Workplace, part: int) -> keys.Rows:
    """The lines of the documents of a part that are left, each once."""
    return digests_of(first_lines(_texts(place, part))[0])


def _texts(place: Workplace, part: int) -> list[str]:
    column = parts.columns(place.part(part), "text")["text"]
    left = np.array(place.left(part, len(column)), np.int64)  # of none, too, whole numbers
    return list(column.take(left).to_pylist())


def first_lines(texts: Sequence[str]) -> tuple[dict[bytes, int], list[bool]]:
    """Where each line stands first, and for each line whether one before it is equal.

    Blank lines are none.
    """
    first: dict[bytes, int] = {}
    again: list[bool] = []
    for text in texts:
        for line in text.split("\n"):
            bare = line.strip().lower()
            if not bare:
                again.append(False)
                continue
            digest = hashlib.blake2b(bare.encode(), digest_size=16).digest()
            again.append(first.setdefault(digest, len(again)) != len(again))
    return first, again


def _compare(pieces: Any) -> Iterator[tuple[int, bytes]]:
    table = keys.gathered(pieces, LINE)
    here = table["part"] != keys.ELSEWHERE
    order = np.lexsort(
        [*(table[name] for name in ("position", "part")), here, table["key1"], table["key0"]]
    )
    table, here = table[order], here[order]
    goes = np.zeros(len(table), bool)
    goes[1:] = (table["key0"][1:] == table["key0"][:-1]) & (table["key1"][1:] == table["key1"][:-1])
    gone = table[goes & here]
    for part in np.unique(gone["part"]):
        yield int(part), gone["position"][gone["part"] == part].tobytes()


def _write(place: Workplace, part: int, pieces: Any) -> dict[str, Any]:
    positions = np.sort(np.frombuffer(b"".join(pieces), np.uint32))
    storage.write(_path(place, part), positions.tobytes())
    return {"steps": {LINES: {"lines": len(positions)}}}


def _path(place: Workplace, part: int) -> str:
    return storage.join(place.of(LINES), f"part-{part:08d}.u32")


def without_repeated(
    place: Workplace, part: int, documents: Sequence[Document]
) -> Iterator[tuple[Document, str]]:
    """The documents of a part that are left, each with its text less the lines that go."""
    path = _path(place, part)
    elsewhere = set(np.frombuffer(storage.read(path), np.uint32)) if storage.exists(path) else set()
    _, again = first_lines([document.text for document in documents])
    position = 0
    for document in documents:
        kept = []
        for line in document.text.split("\n"):
            if not again[position] and position not in elsewhere:
                kept.append(line)
            position += 1
        yield document, "\n".join(kept)
