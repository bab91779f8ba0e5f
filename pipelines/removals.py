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


def block_of(part: int) -> int:
    """The block that a part belongs to."""
    return part // BLOCK_PARTS


def path(folder: str, block: int) -> str:
    """The file of a block."""
    return storage.join(folder, "removed", f"{block:06d}.arrow")


def write(folder: str, block: int, removals: Iterable[Removal]) -> int:
    """Writes the removals of a block; returns how many there are."""
    rows = sorted(removals)
    columns = [[row[index] for row in rows] for index in range(3)]
    table = pa.table(columns, schema=SCHEMA)
    with (
        storage.writing(path(folder, block)) as file,
        pa.ipc.new_file(file, SCHEMA) as writer,
    ):
        writer.write_table(table)
    return len(rows)


def read(folder: str, part: int) -> dict[int, str]:
    """The rows of a part that a step removes, each with the id of the one that stays."""
    name = path(folder, block_of(part))
    if not storage.exists(name):
        return {}
    with storage.open_to_read(name) as file:
        table = pa.ipc.open_file(file).read_all()
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
    with (
        storage.writing(ledger_path(folder, block)) as file,
        pa.ipc.new_file(file, LEDGER) as writer,
    ):
        writer.write_table(table)


def read_ledger(folder: str, part: int) -> dict[str, float | None]:
    """Of the block of a part: id of each document that went -> its similarity to the one kept."""
    name = ledger_path(folder, block_of(part))
    if not storage.exists(name):
        return {}
    with storage.open_to_read(name) as file:
        table = pa.ipc.open_file(file).read_all()
    return dict(
        zip(
            table.column("removed").to_pylist(), table.column("similarity").to_pylist(), strict=True
        )
    )
