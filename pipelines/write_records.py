"""Tokenized documents -> TFRecord shards and their index, the same bytes whatever the runner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from llm_keras.data.document import Split
from llm_keras.data.packing import Parts
from llm_keras.data.record_codec import RecordLayout
from pipelines import document_index, row_format, spill, storage
from pipelines.counts import Counts, merge
from pipelines.quiet import beam
from pipelines.row_format import RowFormat


class WriteRecords(beam.PTransform):
    """Pairs (shard file, piece of `spill`) -> the files, and counts of what each holds.

    A shard is held in memory while it is sorted and packed, in about five times the bytes of its
    ids: choose as many as make a shard some hundred megabytes.

    Args:
        splits: Those that there are.
        rows: What the rows are.
        shards: Training files, of each bucket.
        folder: Where to write; reachable for every worker.
    """

    def __init__(self, splits: Sequence[Split], rows: RowFormat, shards: int, folder: str) -> None:
        super().__init__()
        self.splits, self.rows, self.shards, self.folder = tuple(splits), rows, shards, folder

    def expand(self, pieces: Any) -> Any:
        """Groups by file, then writes each; a file without documents is written too."""
        rows, shards, folder = self.rows, self.shards, self.folder
        every = (
            pieces.pipeline
            | "EverySplit" >> beam.Create(self.splits)
            | "EveryFile" >> beam.FlatMap(lambda split: _empty(rows.files(split, shards)))
        )
        return (
            (pieces, every)
            | beam.Flatten()
            | beam.GroupByKey()
            | "WriteShard"
            >> beam.MapTuple(lambda name, found: write_shard(name, found, rows, folder))
        )


def _empty(files: Sequence[str]) -> list[tuple[str, None]]:
    return [(name, None) for name in files]


def shard_of(document_id: str, files: Sequence[str]) -> str:
    """The file of a document: by a hash of its id, so that new documents move no others."""
    return files[hash_of("shard", document_id) % len(files)]


def hash_of(*parts: str) -> int:
    """A 64-bit hash that is equal on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def write_shard(
    name: str, found: Iterable[tuple[Any, ...] | None], rows: RowFormat, folder: str
) -> Counts:
    """Sorts, packs and writes one shard; doing it again changes nothing."""
    documents = spill.read(spill.Piece(*each) for each in sorted(filter(None, found)))
    return write_documents(name, documents, rows, folder)


def write_documents(name: str, documents: Any, rows: RowFormat, folder: str) -> Counts:
    """Packs and writes one shard and its index.

    Args:
        name: File name of the shard.
        documents: Table of `spill.SCHEMA`, in order.
        rows: What its rows are.
        folder: Where to write.

    Returns:
        Counts of it: the shard itself, and what it gives to its split, sources and licences.
    """
    laid = Laid.of(documents, rows, name)
    digest, num_rows = hashlib.sha256(), 0
    with storage.writing(storage.join(folder, name)) as file:
        for block in row_format.blocks(*laid):
            content = laid.layout.encode(block)
            digest.update(content)
            file.write(content)
            num_rows += len(block["tokens"])
    index = document_index.encode(document_index.build(name, documents, laid.parts))
    storage.write(storage.join(folder, document_index.file_name(name)), index)
    shard = {
        "rows": num_rows,
        "bytes": num_rows * laid.layout.record_bytes,
        "sha256": digest.hexdigest(),
        "padding": laid.padding(num_rows),
        "index_sha256": hashlib.sha256(index).hexdigest(),
    }
    return merge([{"shards": {name: shard}}, count(name, documents, laid.lengths)])


class Laid(NamedTuple):
    """The documents of a shard as arrays, and where they go; see `row_format.blocks`."""

    ids: np.ndarray
    lengths: np.ndarray
    given: np.ndarray
    parts: Parts
    layout: RecordLayout

    @classmethod
    def of(cls, documents: Any, rows: RowFormat, name: str) -> Laid:
        """Lays the documents of a table."""
        layout = rows.layout_of(name)
        ids, lengths = _joined(documents.column("ids"), layout.dtype["tokens"].base)
        given = documents.column("given").to_numpy().astype(np.int64)
        return cls(ids, lengths, given, row_format.lay(lengths, given, rows), layout)

    def padding(self, num_rows: int) -> int:
        """Places of the rows that hold no token."""
        columns = ("source", "tokens") if self.layout.kind == "pairs" else ("tokens",)
        places = num_rows * sum(self.layout.widths[column] for column in columns)
        used = self.lengths if self.layout.kind == "pairs" else self.parts.tokens
        return places - int(used.sum())


def _joined(column: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column of bytes as one array, without a copy, and how long each is."""
    if not len(column):
        return np.zeros(0, dtype), np.zeros(0, np.int64)
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    _, offsets, content = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    ids = np.frombuffer(content, np.uint8)[ends[0] : ends[-1]].view(dtype)
    return ids, np.diff(ends) // dtype.itemsize


def count(name: str, documents: Any, lengths: np.ndarray) -> Counts:
    """What documents give to the totals of a corpus.

    Args:
        name: The shard that they are in.
        documents: Table with the columns `given`, `text_bytes`, `source` and `licence`.
        lengths: Ids of each.
    """
    given = documents.column("given").to_numpy().astype(np.int64)
    of_pairs, split = "-b" in name, name.partition("-")[0]
    tokens, documents_ = int(lengths.sum()), len(lengths)
    before = int(given.sum())
    counts = {
        "tokens": tokens - before if of_pairs else tokens,
        "targets": tokens - before - (documents_ if of_pairs else 0),
        "documents": documents_,
        "bytes": int(documents.column("text_bytes").to_numpy().sum()),
        "source_tokens": before if of_pairs else 0,
    }
    return {
        "splits": {split: counts},
        "sources": _by_name(documents.column("source"), lengths, split),
        "licences": _by_name(documents.column("licence"), lengths, split),
    }


def _by_name(column: Any, lengths: np.ndarray, split: str) -> Counts:
    found: Counts = {}
    names = column.to_pylist()
    for name, tokens in zip(names, lengths.tolist(), strict=True):
        counted = found.setdefault(name, {"tokens": 0, "documents": 0, "train_tokens": 0})
        counted["tokens"] += tokens
        counted["documents"] += 1
        counted["train_tokens"] += tokens if split == "train" else 0
    return found
