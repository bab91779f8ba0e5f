"""How documents become rows: as one text, as a prompt with its answer, or as a pair."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llm_keras import config
from llm_keras.data import packing, pairs
from llm_keras.data.document import Document, Split
from llm_keras.data.packing import Parts, Rows
from llm_keras.data.record_codec import RecordLayout, RowKind
from llm_keras.errors import UserError
from llm_keras.tokenizers import Tokenizer

Packing = Literal["stream", "best_fit"]


@dataclass(frozen=True)
class RowFormat:
    """Kind and sizes of the rows of a run.

    Args:
        kind: `pairs` for an encoder_decoder; `answers` for a causal_lm on texts with targets;
            `packed` for plain text.
        sequence_length: T.
        vocabulary_size: Token ids are below it.
        buckets: Lengths that pairs are filled up to; none for other kinds.
        packing: How documents are laid into rows, where they are not pairs.
    """

    kind: RowKind
    sequence_length: int
    vocabulary_size: int
    buckets: tuple[int, ...] = ()
    packing: Packing = "stream"

    @classmethod
    def of(cls, run: config.Run, tokenizer: Tokenizer) -> RowFormat:
        """The format that a run's model learns from."""
        length = run.records.sequence_length
        kind: RowKind = "answers" if run.corpus.has_targets else "packed"
        buckets: tuple[int, ...] = ()
        if run.model.kind == "encoder_decoder":
            kind, buckets = "pairs", run.records.buckets or pairs.bucket_lengths(length)
            if run.records.packing != "stream":
                raise UserError(
                    f"records.packing: {run.records.packing} lays texts one after the other, but"
                    " the pairs of an encoder_decoder have a row each; take it out"
                )
        return cls(kind, length, tokenizer.vocabulary_size, buckets, run.records.packing)

    def layout(self, bucket: int | None = None) -> RecordLayout:
        """The layout of the records of a bucket; without one, of the longest."""
        return RecordLayout(bucket or self.sequence_length, self.vocabulary_size, self.kind)

    def layout_of(self, file: str) -> RecordLayout:
        """The layout of the records of a file."""
        found = re.search(r"-b(\d{5})-", file)
        return self.layout(int(found[1]) if found else None)

    def files(self, split: Split, shards: int) -> list[str]:
        """Every file of a split."""
        buckets = self.buckets or (None,)
        return [file for bucket in buckets for file in shard_files(split, shards, bucket)]


def encode(document: Document, tokenizer: Tokenizer, kind: RowKind) -> tuple[list[int], int]:
    """The ids of a document, and how many of them come first and are given, not to be predicted.

    A pair is `source + [eos]`, all given, and `[bos] + target + [eos]`. A text with its answer is
    `[bos] + text + answer + [eos]`: nothing stands between them but what the text ends in.
    """
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    if kind == "packed":
        return [bos, *tokenizer.encode(document.text), eos], 1
    if document.target is None:
        raise UserError(
            f"document {document.id} has no target, but the run's sources say it has; run"
            " `llm-keras curate` again"
        )
    text, target = tokenizer.encode_batch([document.text, document.target])
    if kind == "answers":
        return [bos, *text, *target, eos], 1 + len(text)
    return [*text, eos, bos, *target, eos], len(text) + 1


def lay(lengths: np.ndarray, given: np.ndarray, rows: RowFormat) -> Parts:
    """Where the documents of a shard go.

    Args:
        lengths: Ids of each document; see `encode`.
        given: Of each document, how many of them come first and are given.
        rows: Says how.
    """
    if rows.kind == "pairs" or not len(lengths):
        number, zeros = np.arange(len(lengths)), np.zeros(len(lengths), np.int64)
        return Parts(number, zeros, lengths - given, number, zeros)
    lay_parts = packing.best_fit_parts if rows.packing == "best_fit" else packing.stream_parts
    return lay_parts(lengths, rows.sequence_length)


def blocks(
    ids: np.ndarray,
    lengths: np.ndarray,
    given: np.ndarray,
    parts: Parts,
    layout: RecordLayout,
) -> Iterator[Rows]:
    """The rows of a shard's documents, block by block, as `layout` takes them.

    Args:
        ids: Of all documents, one after the other; see `encode`.
        lengths: Ids of each document.
        given: Of each document, how many of them come first and are given.
        parts: Where they go; see `lay`.
        layout: Of the shard's records.
    """
    length = layout.row_tokens - 1
    if layout.kind == "pairs":
        ends = np.cumsum(lengths, dtype=np.int64)
        for start in range(0, len(lengths), packing.BLOCK_ROWS):
            chosen = range(start, min(start + packing.BLOCK_ROWS, len(lengths)))
            sides = [np.split(ids[ends[n] - lengths[n] : ends[n]], [given[n]]) for n in chosen]
            yield pairs.fill([each[0] for each in sides], [each[1] for each in sides], length)
    else:
        answered = given if layout.kind == "answers" else None
        yield from packing.fill(ids, lengths, parts, length, answered)


def shard_files(split: Split, shards: int, bucket: int | None = None) -> list[str]:
    """File names of a split; others than training have a quarter of its shards, at least one.

    >>> shard_files("validation", shards=8)
    ['validation-00000-of-00002.tfrecord', 'validation-00001-of-00002.tfrecord']
    >>> shard_files("train", shards=1, bucket=64)
    ['train-b00064-00000-of-00001.tfrecord']
    """
    count = shards if split == "train" else max(1, shards // 4)
    name = split if bucket is None else f"{split}-b{bucket:05d}"
    return [f"{name}-{number:05d}-of-{count:05d}.tfrecord" for number in range(count)]


def text_bytes(document: Document) -> int:
    """UTF-8 bytes of the text that is to be predicted."""
    text = document.text if document.target is None else document.target
    return len(text.encode("utf-8", "replace"))
