"""Tokenized documents -> TFRecord shards, the same bytes whatever the runner."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from llm_keras.data.record_codec import RecordLayout
from pipelines import row_format
from pipelines.counts import Counts, merge
from pipelines.quiet import beam


class Tokenized(NamedTuple):
    """A document as ids, ready to be sorted into its shard.

    Args:
        place: A seeded hash of the id: the order within a shard.
        id: The document's id; decides where two hashes are equal.
        source: Its source.
        text_bytes: UTF-8 bytes of its text that is to be predicted.
        given: Ids that come first and are not to be predicted.
        ids: Its ids, as `row_format.encode` makes them, in the bytes of the `tokens` column.
    """

    place: int
    id: str
    source: str
    text_bytes: int
    given: int
    ids: bytes


class WriteRecords(beam.PTransform):
    """Pairs (shard file, Tokenized) -> the files, and counts of what each holds.

    A shard is held in memory while it is sorted and packed: choose as many as make a shard some
    hundred megabytes.

    Args:
        files: Every file, and the layout of its records.
        folder: Where to write; reachable for every worker.
    """

    def __init__(self, files: Mapping[str, RecordLayout], folder: Path) -> None:
        super().__init__()
        self.files, self.folder = files, folder

    def expand(self, tokenized: Any) -> Any:
        """Groups by file, then writes each; a file without documents is written too."""
        files, folder = self.files, self.folder
        every = tokenized.pipeline | "EveryFile" >> beam.Create([(name, None) for name in files])
        return (
            (tokenized, every)
            | beam.Flatten()
            | beam.GroupByKey()
            | "WriteShard"
            >> beam.MapTuple(lambda name, rows: write_shard(name, rows, files[name], folder))
        )


def shard_of(document_id: str, files: Sequence[str]) -> str:
    """The file of a document: by a hash of its id, so that new documents move no others."""
    return files[hash_of("shard", document_id) % len(files)]


def hash_of(*parts: str) -> int:
    """A 64-bit hash that is equal on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def write_shard(
    name: str, rows: Iterable[tuple[Any, ...] | None], layout: RecordLayout, folder: Path
) -> Counts:
    """Sorts, packs and writes one shard, whole or not at all; doing it again changes nothing."""
    documents = [Tokenized(*each) for each in sorted(each for each in rows if each is not None)]
    column = layout.dtype["tokens"].base
    streams = [np.frombuffer(document.ids, column) for document in documents]
    unfinished = folder / f"{name}.{uuid.uuid4().hex}.tmp"
    digest, num_rows = hashlib.sha256(), 0
    with unfinished.open("wb") as file:
        given = [document.given for document in documents]
        for block in row_format.blocks(streams, given, layout):
            content = layout.encode(block)
            digest.update(content)
            file.write(content)
            num_rows += len(block["tokens"])
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / name)
    shard = {
        "rows": num_rows,
        "bytes": num_rows * layout.record_bytes,
        "sha256": digest.hexdigest(),
    }
    counts: list[Counts] = [{"shards": {name: shard}}]
    counts += [
        _count(name, document, len(stream), layout)
        for document, stream in zip(documents, streams, strict=True)
    ]
    return merge(counts)


def _count(name: str, document: Tokenized, ids: int, layout: RecordLayout) -> Counts:
    source = document.given if layout.kind == "pairs" else 0
    tokens = ids - source
    counts = {
        "tokens": tokens,
        "targets": tokens - (1 if layout.kind == "pairs" else document.given),
        "documents": 1,
        "bytes": document.text_bytes,
        "source_tokens": source,
    }
    return {
        "splits": {name.partition("-")[0]: counts},
        "sources": {document.source: {"tokens": ids, "documents": 1}},
    }
