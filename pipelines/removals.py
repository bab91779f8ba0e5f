"""Which rows of which parts go, as the steps of deduplication write it down and later ones read it.

A step writes one file for every block of parts: the number of the part, the row, and the id of the
document that stays in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipelines import storage

#: Parts in a block.
BLOCK_PARTS = 64

#: (part, row, id of the one that stays).
Removal = tuple[int, int, str]

SCHEMA = pa.schema([("part", pa.uint32()), ("row", pa.uint32()), ("kept", pa.string())])


def block_of(part: Any) -> Any:
    """The block that a part belongs to; of an array of parts, the block of each."""
    return part // BLOCK_PARTS


def path(folder: str, block: int) -> str:
    """The file of a block."""
    return storage.join(folder, "removed", f"{block:06d}.arrow")


def write(folder: str, block: int, removals: Iterable[Removal]) -> int:
    """Writes the removals of a block; returns how many there are."""
    rows = sorted(removals)
    columns = [[row[index] for row in rows] for index in range(3)]
    _write(path(folder, block), pa.table(columns, schema=SCHEMA))
    return len(rows)


def read(folder: str, part: int) -> dict[int, str]:
    """The rows of a part that a step removes, each with the id of the one that stays."""
    table = _read(path(folder, block_of(part)), SCHEMA)
    return {row: kept for where, row, kept in _rows(table) if where == part}


def _rows(table: Any) -> Iterator[Removal]:
    yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


LEDGER = pa.schema([("removed", pa.string()), ("kept", pa.string()), ("similarity", pa.float32())])


def ledger_path(folder: str, block: int) -> str:
    """The ledger of a block."""
    return storage.join(folder, "ledger", f"{block:06d}.arrow")


def write_ledger(
    folder: str,
    block: int,
    removed: Sequence[str],
    kept: Sequence[str],
    similarities: Sequence[float | None],
) -> None:
    """Writes down who went in favour of whom, and how alike the two are."""
    table = pa.table([removed, kept, similarities], schema=LEDGER)
    _write(ledger_path(folder, block), table)


def read_ledger(folder: str, part: int) -> dict[str, float | None]:
    """Of the block of a part: id of each document that went -> its similarity to the one kept."""
    table = _read(ledger_path(folder, block_of(part)), LEDGER)
    removed, similarities = table.column("removed"), table.column("similarity")
    return dict(zip(removed.to_pylist(), similarities.to_pylist(), strict=True))


def _write(name: str, table: Any) -> None:
    with storage.writing(name) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read(name: str, schema: Any) -> Any:
    """A table; without rows where a step removed nothing."""
    if not storage.exists(name):
        return schema.empty_table()
    with storage.open_to_read(name) as file:
        return pa.ipc.open_file(file).read_all()
