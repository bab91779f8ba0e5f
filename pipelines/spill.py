"""Tokenized documents on disk, between the step that encodes and the step that packs.

The documents of one file of a corpus go to all shards. They are written to one file, shard after
shard, and only where each piece lies moves between workers: so neither step holds more than some
megabytes beside what it works on, and a runner that groups in memory groups next to nothing. Such a
file holds token ids and no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import pyarrow as pa

from pipelines import storage

#: Bytes of ids that are collected before they are written.
BUFFER_BYTES = 32 * 2**20
#: About what a document takes beside its ids.
DOCUMENT_BYTES = 200

SCHEMA = pa.schema(
    [
        ("place", pa.uint64()),
        ("id", pa.string()),
        ("copy", pa.uint16()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("text_bytes", pa.uint64()),
        ("given", pa.uint32()),
        ("ids", pa.large_binary()),
    ]
)


class Tokenized(NamedTuple):
    """A document as ids, ready to be sorted into its shard; the columns of `SCHEMA`.

    Args:
        place: A seeded hash of the id: the order within a shard.
        id: The document's id; decides where two hashes are equal.
        copy: 0, 1, 2... of a document that is trained on more than once.
        source: Its source.
        licence: Its licence.
        text_bytes: UTF-8 bytes of its text that is to be predicted.
        given: Ids that come first and are not to be predicted.
        ids: Its ids, as `row_format.encode` makes them, in the bytes of the `tokens` column.
    """

    place: int
    id: str
    copy: int
    source: str
    licence: str
    text_bytes: int
    given: int
    ids: bytes


class Piece(NamedTuple):
    """Some documents of one shard: where they lie.

    Args:
        path: The file.
        start: First byte.
        size: Bytes.
    """

    path: str
    start: int
    size: int


def write(path: str, documents: Iterable[tuple[str, Tokenized]]) -> Iterator[tuple[str, Piece]]:
    """Writes pairs (shard, document) to one file; yields pairs (shard, piece) when it is complete.

    The same documents give the same file, so that doing it again changes nothing.
    """
    pieces: list[tuple[str, Piece]] = []
    with storage.writing(path) as file:
        waiting: dict[str, list[Tokenized]] = {}
        size = at = 0
        for shard, document in documents:
            waiting.setdefault(shard, []).append(document)
            size += len(document.ids) + DOCUMENT_BYTES
            if size >= BUFFER_BYTES:
                at = _flush(file, path, waiting, pieces, at)
                size = 0
        _flush(file, path, waiting, pieces, at)
    yield from pieces


def _flush(
    file: IO[bytes],
    path: str,
    waiting: dict[str, list[Tokenized]],
    pieces: list[tuple[str, Piece]],
    at: int,
) -> int:
    """Writes what is waiting as one piece a shard; returns where the file ends now."""
    for shard in sorted(waiting):
        content = _encode(waiting[shard])
        file.write(content)
        pieces.append((shard, Piece(path, at, len(content))))
        at += len(content)
    waiting.clear()
    return at


def _encode(documents: list[Tokenized]) -> bytes:
    columns = [list(column) for column in zip(*documents, strict=True)]
    batch = pa.record_batch(columns, schema=SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def read(pieces: Iterable[Piece]) -> Any:
    """The documents of several pieces as an Arrow table, in the order of their places."""
    tables = [
        pa.ipc.open_stream(storage.read(piece.path, piece.start, piece.size)).read_all()
        for piece in pieces
    ]
    table = pa.concat_tables([SCHEMA.empty_table(), *tables])
    del tables
    ordered = table.sort_by([(name, "ascending") for name in ("place", "id", "copy")])
    return ordered.combine_chunks()
