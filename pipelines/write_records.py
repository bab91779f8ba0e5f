"""Tokenized documents -> packed TFRecord shards, the same bytes whatever the runner."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from llm_keras.data import packing
from llm_keras.data.document import SPLITS, Split
from llm_keras.data.record_codec import RecordLayout
from pipelines.counts import Counts, merge
from pipelines.quiet import beam


class Tokenized(NamedTuple):
    """A document as ids, ready to be sorted into its shard.

    Args:
        place: A seeded hash of the id: the order within a shard.
        id: The document's id; decides where two hashes are equal.
        source: Its source.
        text_bytes: UTF-8 bytes of its text.
        ids: `[bos] + ids + [eos]` in the bytes of the records' `tokens` column.
    """

    place: int
    id: str
    source: str
    text_bytes: int
    ids: bytes


class WriteRecords(beam.PTransform):
    """Pairs (shard file, Tokenized) -> the files, and counts of what each holds.

    A shard is held in memory while it is sorted and packed: choose as many as make a shard some
    hundred megabytes.

    Args:
        shards: Training files; see `shard_files`.
        layout: Of the records.
        folder: Where to write; reachable for every worker.
    """

    def __init__(self, shards: int, layout: RecordLayout, folder: Path) -> None:
        super().__init__()
        self.files = [file for split in SPLITS for file in shard_files(split, shards)]
        self.layout, self.folder = layout, folder

    def expand(self, tokenized: Any) -> Any:
        """Groups by file, then writes each; a file without documents is written too."""
        layout, folder = self.layout, self.folder
        every = tokenized.pipeline | "EveryFile" >> beam.Create(
            [(name, None) for name in self.files]
        )
        return (
            (tokenized, every)
            | beam.Flatten()
            | beam.GroupByKey()
            | "WriteShard"
            >> beam.MapTuple(lambda name, rows: write_shard(name, rows, layout, folder))
        )


def shard_files(split: Split, shards: int) -> list[str]:
    """File names of a split; validation has a quarter of the training's shards, at least one.

    >>> shard_files("validation", shards=8)
    ['validation-00000-of-00002.tfrecord', 'validation-00001-of-00002.tfrecord']
    """
    count = shards if split == "train" else max(1, shards // 4)
    return [f"{split}-{number:05d}-of-{count:05d}.tfrecord" for number in range(count)]


def shard_of(document_id: str, split: Split, shards: int) -> str:
    """The file of a document: by a hash of its id, so that new documents move no others."""
    files = shard_files(split, shards)
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
        for block in packing.pack(streams, layout.row_tokens - 1):
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
        _count(name, document, len(stream))
        for document, stream in zip(documents, streams, strict=True)
    ]
    return merge(counts)


def _count(name: str, document: Tokenized, tokens: int) -> Counts:
    split = name.partition("-")[0]
    return {
        "splits": {split: {"tokens": tokens, "documents": 1, "bytes": document.text_bytes}},
        "sources": {document.source: {"tokens": tokens, "documents": 1}},
    }
