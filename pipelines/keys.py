"""Keys of documents as NumPy rows: what deduplication compares in the place of texts.

A part becomes one array, which is cut by key and written to a file; Beam moves where each piece
lies, and no rows. Within a part only the first of equal keys is sent: however often a text occurs,
a worker receives it at most once a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines import storage

Rows = np.ndarray[Any, np.dtype[Any]]
#: Path, first byte and bytes of some rows.
Place = tuple[str, int, int]

#: `key0`, `key1`: the 16 bytes compared. `rank`, `source`, `id0`, `id1`: who stays, the least.
#: `part`, `row`: where the document is; the part ELSEWHERE means an earlier run.
DTYPE = np.dtype(
    [
        ("key0", np.uint64),
        ("key1", np.uint64),
        ("rank", np.uint64),
        ("source", np.uint16),
        ("id0", np.uint64),
        ("id1", np.uint32),
        ("part", np.uint32),
        ("row", np.uint32),
    ]
)
#: Who stays among equals; part and row tell equal ids apart: equal texts of one file.
ORDER = ("rank", "source", "id0", "id1", "part", "row")
ELSEWHERE = 2**32 - 1
#: A source that this run does not have.
UNKNOWN_SOURCE = 2**16 - 1
#: A rank beyond that of documents of earlier runs, which is 0: what is there stays.
FIRST_RANK = 2**31


def build(
    keys: Rows,
    ids: Sequence[str],
    ranks: np.ndarray[Any, Any],
    sources: Mapping[str, int],
    part: int,
    rows: np.ndarray[Any, Any],
) -> Rows:
    """Makes the rows of one part.

    Args:
        keys: [n, 16] bytes.
        ids: Of the documents.
        ranks: Of each document; the least stays.
        sources: Number of each source, in the order of names.
        part: Number of the part.
        rows: Row of each document in it.
    """
    table = np.zeros(len(ids), DTYPE)
    table["key0"], table["key1"] = halves(keys)
    table["rank"], table["part"], table["row"] = ranks, part, rows
    numbers = [id_numbers(each, sources) for each in ids]
    for column, name in enumerate(("source", "id0", "id1")):
        table[name] = [number[column] for number in numbers]
    return table


def halves(keys: Rows) -> tuple[Rows, Rows]:
    """16 bytes as two numbers of the same order."""
    pair = np.ascontiguousarray(keys).view(">u8").reshape(-1, 2)
    return pair[:, 0].astype(np.uint64), pair[:, 1].astype(np.uint64)


def id_numbers(document_id: str, sources: Mapping[str, int]) -> tuple[int, int, int]:
    """An id as (number of its source, 64 bits, 32 bits), in the same order."""
    source, _, digits = document_id.rpartition(":")
    return sources.get(source, UNKNOWN_SOURCE), int(digits[:16], 16), int(digits[16:24], 16)


def id_text(row: Any, sources: Sequence[str]) -> str:
    """The inverse of `id_numbers`, for the source of a row."""
    return f"{sources[int(row['source'])]}:{int(row['id0']):016x}{int(row['id1']):08x}"


def sort(table: Rows) -> Rows:
    """By key, then in the order of who stays."""
    names = ("key0", "key1", *ORDER)
    return table[np.lexsort([table[name] for name in reversed(names)])]


def first_of_each(table: Rows) -> np.ndarray[Any, Any]:
    """For each row of a sorted table the index of the first row with the same key."""
    if not len(table):
        return np.zeros(0, np.int64)
    new = np.ones(len(table), bool)
    new[1:] = (table["key0"][1:] != table["key0"][:-1]) | (table["key1"][1:] != table["key1"][:-1])
    return np.maximum.accumulate(np.where(new, np.arange(len(table)), 0))


def spill(path: str, table: Rows, partitions: int) -> Iterator[tuple[int, Place]]:
    """Writes a table cut by key; yields (partition, where its rows lie).

    Only the places move between workers, so that a runner that groups in memory groups next to
    nothing.
    """
    number = (table["key0"] % np.uint64(partitions)).astype(np.int64)
    order = np.argsort(number, kind="stable")
    storage.write(path, table[order].tobytes())
    borders = np.searchsorted(number[order], np.arange(partitions + 1)) * table.dtype.itemsize
    for partition in np.flatnonzero(np.diff(borders)):
        start = int(borders[partition])
        yield int(partition), (path, start, int(borders[partition + 1]) - start)


def gathered(places: Iterable[Place], dtype: np.dtype[Any] = DTYPE) -> Rows:
    """The rows that lie in some places, together; in the order of the places."""
    return joined((storage.read(*place) for place in sorted(places)), dtype)


def joined(pieces: Iterable[bytes], dtype: np.dtype[Any] = DTYPE) -> Rows:
    """The rows of several pieces together."""
    return np.frombuffer(b"".join(pieces), dtype)


def count_partitions(parts: int) -> int:
    """How many workers may compare keys at once: enough that each holds few parts' worth."""
    return max(1, min(1024, parts // 4))
