"""Parquet tables: one text a row, a few rows at a time.

A row group that is damaged costs its rows from there on, not those of other groups. Rows are named
by their number in the file where they cannot be read. The least that is unpacked at once is a page.

What a footer says of its column chunks is not asked for: where that is damaged, pyarrow raises no
error but ends the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_keras import config
from pipelines.sources import compressed, tables
from pipelines.sources.record import Piece, Text, Unreadable

SUFFIXES = IN_PIECES = (".parquet",)

#: No more is decoded at once, unless it is in the fewest rows.
BATCH_BYTES, FEWEST_ROWS, MOST_ROWS = 64 * 2**20, 8, 1024
#: The most that a footer may make pyarrow reserve, in bytes and in list entries.
_FOOTER_BYTES, _FOOTER_ENTRIES = 64 * 2**20, 1_000_000
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"


def read(
    path: Path,
    source: config.Source,
    piece: Piece | None = None,
    fields: config.Columns | None = None,
) -> Iterator[Text | Unreadable]:
    """Reads one table.

    Args:
        path: The file.
        source: Its source.
        piece: Reads a share of the row groups; None: all.
        fields: Which column is what; None: as the source says.
    """
    fields, piece = fields or source.fields, piece or Piece(0, 1)
    table, problem = _open(path, fields)
    if problem:
        if piece.place == 0:  # once a file
            yield Unreadable(problem)
        return
    columns = tables.wanted(table.schema_arrow, fields)
    chosen = range(*piece.bounds(table.num_row_groups))
    first = 1
    for group in range(table.num_row_groups):
        if group in chosen:
            yield from _read_group(table, group, first, columns, fields, source.encoding)
        first += table.metadata.row_group(group).num_rows


def _open(path: Path, fields: config.Columns) -> tuple[Any, str]:
    """The table, or what is wrong with the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if problem := _no_table(path):
        return None, problem
    limits = {
        "thrift_string_size_limit": _FOOTER_BYTES,
        "thrift_container_size_limit": _FOOTER_ENTRIES,
    }
    try:
        table = pq.ParquetFile(path, buffer_size=2**20, page_checksum_verification=True, **limits)
        return table, _bomb(table.metadata, path) or tables.problem_of(table.schema_arrow, fields)
    except (pa.ArrowException, ValueError, OSError) as error:
        if getattr(error, "errno", None):
            raise
        return None, "its footer is damaged"


def _no_table(path: Path) -> str:
    """What shows at either end of a file that is no whole table; empty if nothing does."""
    with path.open("rb") as file:
        start, size = file.read(4), path.stat().st_size
        file.seek(max(0, size - 4))
        end = file.read(4)
    if start == _ENCRYPTED:
        return "an encrypted Parquet file: its key is not known"
    if start != _MAGIC:
        return "not a Parquet file: expected PAR1 at its start"
    return "" if end == _MAGIC and size >= 12 else "cut short: it ends without its footer"


def _bomb(metadata: Any, path: Path) -> str:
    """Whether a table says that it unpacks to far more than texts do; empty if it does not."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    most = compressed.most_bytes(path)
    unpacked = sum(group.total_byte_size for group in groups)
    return f"unpacks to more than {most} bytes: a decompression bomb?" if unpacked > most else ""


def _read_group(
    table: Any, group: int, first: int, columns: list[str], fields: config.Columns, encoding: str
) -> Iterator[Text | Unreadable]:
    import pyarrow as pa

    batches = table.iter_batches(
        _batch_rows(table.metadata.row_group(group)),
        row_groups=[group],
        columns=columns,
        use_threads=False,
    )
    try:
        for batch in batches:
            yield from tables.texts(batch, first, fields, encoding)
            first += batch.num_rows
    except (pa.ArrowException, ValueError, OSError) as error:
        if getattr(error, "errno", None):
            raise
        yield Unreadable(f"row group {group} is damaged from here on", name=f"row {first}")


def _batch_rows(group: Any) -> int:
    """How many rows of a group are decoded at once.

    A cell may be as large as all that the group stores, and equal cells are stored once: a thousand
    rows of one text of ten megabytes are ten megabytes in the file and ten gigabytes in memory.
    """
    return max(FEWEST_ROWS, min(MOST_ROWS, BATCH_BYTES // max(group.total_byte_size, 1)))
