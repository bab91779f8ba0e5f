"""Documents of one curated file -> token ids for the shards, and counts of what goes into none."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from llm_keras import tokenizers
from llm_keras.data import pairs, takedowns
from llm_keras.data.document import Document, Split, read_documents
from llm_keras.errors import UserError
from pipelines import row_format, spill, storage
from pipelines.quiet import beam
from pipelines.row_format import RowFormat, shard_files
from pipelines.spill import Tokenized
from pipelines.write_records import hash_of, shard_of

#: Reasons under which documents are dropped: pairs that fit no bucket; by the mixture.
TOO_LONG, MIXTURE = "too_long", "mixture"


class Settings(NamedTuple):
    """What an encoding worker needs to know; small, for it travels with the pipeline.

    Args:
        tokenizer: Where the tokenizer's file is; reachable for every worker.
        rows: What the rows are.
        shards: Training files, of each bucket.
        seed: Of the order.
        epochs: Source -> how often its training documents are trained on; once where it has none.
        corpus: The folder with the list of what was taken down.
        folder: Where to write; reachable for every worker.
    """

    tokenizer: str
    rows: RowFormat
    shards: int
    seed: int
    epochs: Mapping[str, float]
    corpus: str
    folder: str


class Encode(beam.DoFn):
    """Pairs (split, file of documents) -> pairs (shard, piece), and `dropped`: counts.

    Args:
        settings: See there.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.column = settings.rows.layout().dtype["tokens"].base

    def setup(self) -> None:
        """Reads the tokenizer in the worker: megabytes that need not travel."""
        self.tokenizer = tokenizers.load(storage.read(self.settings.tokenizer))
        self.taken_down = _taken_down(self.settings.corpus)

    def process(self, element: tuple[Split, str]) -> Iterator[Any]:
        """Encodes all documents of a file."""
        split, path = element
        dropped: Counter[str] = Counter()
        written = storage.join(self.settings.folder, f"{Path(path).name}.spill")
        for shard, piece in spill.write(written, self._documents(split, path, dropped)):
            yield shard, tuple(piece)
        if dropped:
            counts = {"splits": {split: {"dropped": dict(dropped)}}}
            yield beam.pvalue.TaggedOutput("dropped", counts)

    def _documents(
        self, split: Split, path: str, dropped: Counter[str]
    ) -> Iterator[tuple[str, Tokenized]]:
        try:
            with storage.local_copy(path) as local:
                for document in read_documents(local):
                    yield from self._of(document, split, dropped)
        except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
            raise UserError(
                f"{path}: damaged ({type(error).__name__}); run `llm-keras curate` again"
            ) from None

    def _of(
        self, document: Document, split: Split, dropped: Counter[str]
    ) -> Iterator[tuple[str, Tokenized]]:
        """A document as often as it is trained on."""
        copies, reason = 1, MIXTURE
        if document.id in self.taken_down:
            copies, reason = 0, takedowns.REASON
        elif split == "train":
            epochs = self.settings.epochs.get(document.source, 1.0)
            copies = count_copies(document.id, epochs, self.settings.seed)
        if not copies:
            dropped[reason] += 1
            return
        rows = self.settings.rows
        ids, given = row_format.encode(document, self.tokenizer, rows.kind)
        bucket = None
        if rows.kind == "pairs":
            bucket = pairs.bucket_of(given, len(ids) - given, rows.buckets)
            if bucket is None:
                dropped[TOO_LONG] += 1
                return
        shard = shard_of(document.id, shard_files(split, self.settings.shards, bucket))
        first = Tokenized(
            place=self._place(document.id, 0),
            id=document.id,
            copy=0,
            source=document.source,
            licence=document.licence,
            text_bytes=row_format.text_bytes(document),
            given=given,
            ids=np.array(ids, self.column).tobytes(),
        )
        for copy in range(copies):
            yield shard, first._replace(place=self._place(document.id, copy), copy=copy)

    def _place(self, document_id: str, copy: int) -> int:
        """Where a document stands in its shard: copies anywhere, as if they were others."""
        which = (document_id, str(copy)) if copy else (document_id,)
        return hash_of("order", str(self.settings.seed), *which)


def _taken_down(corpus: str) -> frozenset[str]:
    path = storage.join(corpus, takedowns.FILE_NAME)
    if not storage.exists(path):
        return frozenset()
    entries = takedowns.parse(storage.read(path), path)
    return frozenset(each for entry in entries for each in entry["ids"])


def count_copies(document_id: str, epochs: float, seed: int) -> int:
    """How often a document is trained on: `epochs` on average, by a hash of its id.

    >>> [count_copies(f"letters:{i}", epochs=1.5, seed=0) for i in range(6)]
    [2, 1, 2, 1, 2, 2]
    """
    whole = int(epochs)
    more = hash_of("mixture", str(seed), document_id) / 2**64 < epochs - whole
    return whole + more
