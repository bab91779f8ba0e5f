"""Arrow files, as the package `datasets` saves them: one text a row, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_keras import config
from pipelines.sources import tables
from pipelines.sources.record import Text, Unreadable

SUFFIXES = (".arrow",)

_FILE_MAGIC = b"ARROW1"


def read(path: Path, source: config.Source) -> Iterator[Text | Unreadable]:
    """Reads one file, of the stream or of the file format of Arrow IPC.

    The file is mapped, not loaded. Every batch is validated whole before a cell of it is touched:
    Arrow trusts the offsets of a file, and a damaged one would read memory that is not its own.
    """
    import pyarrow as pa

    fields, first = source.fields, 1
    if path.stat().st_size == 0:
        yield Unreadable("empty: no Arrow file")
        return
    with pa.memory_map(str(path)) as data:
        try:
            schema, batches = _open(data, path)
            if problem := tables.problem_of(schema, fields):
                yield Unreadable(problem)
                return
            chosen = list(dict.fromkeys(_top(schema, fields)))
            for batch in batches:
                part = batch.select(chosen)
                part.validate(full=True)
                yield from tables.texts(part, first, fields, source.encoding)
                first += part.num_rows
        except (pa.ArrowException, ValueError, KeyError, OSError) as error:
            if getattr(error, "errno", None):
                raise
            yield Unreadable("damaged or cut short from here on", name=f"row {first}")


def _open(data: Any, path: Path) -> tuple[Any, Iterator[Any]]:
    """The schema and the batches of a file."""
    import pyarrow as pa

    with path.open("rb") as file:
        is_file = file.read(len(_FILE_MAGIC)) == _FILE_MAGIC
    if is_file:
        reader = pa.ipc.open_file(data)
        return reader.schema, map(reader.get_batch, range(reader.num_record_batches))
    reader = pa.ipc.open_stream(data)
    return reader.schema, iter(reader)


def _top(schema: Any, fields: config.Columns) -> list[str]:
    """The columns that hold what is wanted: a name that is whole a column's, or its first part."""
    names = tables.wanted(schema, fields)
    return [name if schema.get_field_index(name) >= 0 else name.split(".")[0] for name in names]
