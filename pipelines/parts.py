"""Documents between the steps of curation: parts of some megabytes, in Arrow's file format.

A part is written by the step that reads and never again. Later steps look at the columns that they
need, and write down which rows go; so no text moves before the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from llm_keras.data.document import FIELDS, Document, content_digest
from pipelines import storage

#: A part is full when its documents reach either.
PART_BYTES = 16 * 2**20
PART_DOCUMENTS = 20_000

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("subset", pa.string()),
        ("language", pa.string()),
        ("licence", pa.string()),
        ("url", pa.string()),
        ("target", pa.large_string()),
        ("locator", pa.string()),
        ("timestamp", pa.string()),
        ("consent", pa.bool_()),
        ("private", pa.bool_()),
        ("digest", pa.binary(16)),
    ]
)
#: Fields of a document in a part: it is not redacted yet.
STORED = tuple(name for name in FIELDS if name != "redacted")


def write(path: str, documents: Sequence[Document]) -> None:
    """Writes one part."""
    columns: dict[str, list[Any]] = {
        name: [getattr(document, name) for document in documents] for name in STORED
    }
    columns["digest"] = [content_digest(document.content) for document in documents]
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    batch = pa.record_batch([columns[field.name] for field in SCHEMA], schema=SCHEMA)
    with storage.writing(path) as file, pa.ipc.new_file(file, SCHEMA, options=options) as writer:
        writer.write_batch(batch)


def columns(path: str, *names: str) -> dict[str, Any]:
    """Some columns of a part, by name, as Arrow arrays."""
    with storage.open_to_read(path) as file:
        indices = [SCHEMA.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=sorted(indices))
        table = pa.ipc.open_file(file, options=options).read_all()
        return {name: table.column(name).combine_chunks() for name in names}


def documents(path: str) -> Iterator[Document]:
    """The documents of a part, in the order of its rows."""
    found = columns(path, *STORED)
    for row in zip(*(found[name].to_pylist() for name in STORED), strict=True):
        yield Document(**dict(zip(STORED, row, strict=True)))
