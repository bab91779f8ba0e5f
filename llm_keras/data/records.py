"""Reads rows of a tokenized corpus, any row in constant time, and trusts nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llm_keras import files
from llm_keras.data import manifest as manifests
from llm_keras.data import packing, pairs
from llm_keras.data.document import Split
from llm_keras.data.manifest import Shard
from llm_keras.data.record_codec import RecordLayout
from llm_keras.errors import UserError

#: Rows read at once when a whole shard is read.
BLOCK_ROWS = 1024


class Bucket(NamedTuple):
    """Rows of one size that follow each other.

    Args:
        length: T, and S of pairs.
        first: Number of the first row.
        num_rows: How many.
    """

    length: int
    first: int
    num_rows: int


class RecordStore:
    """The rows of one split.

    Opening checks what is cheap: every shard of the manifest is there with its exact size, no
    other is, and the tokenizer is the one asked for. Reading checks every record: CRC, layout, and
    that the ids are in the vocabulary. Since all records of a shard have the same size, no length
    is ever taken from a file.

    Files are read at the moment rows are asked for and not kept open or mapped: a mapped file that
    is cut ends the process with a bus error, and one that was replaced would go unnoticed. The
    store can be pickled, forked and used by several threads.

    Args:
        corpus: Folder of the manifest and the shards.
        split: `train`, `validation` or `test`.
        tokenizer_sha256: The tokenizer that ids must come from; None does not check.
        verify: Also reads every file and compares its SHA-256.

    Attributes:
        manifest: The manifest.
        layout: The layout of its records; of pairs, of the longest.
        buckets: The rows by their size: one for packed rows, several for pairs.
        failure: The last error met while reading; `input_pipeline.reader_errors` raises it.

    Raises:
        UserError: The corpus is not what its manifest says; names file, expected and found.
    """

    def __init__(
        self,
        corpus: Path,
        split: Split,
        tokenizer_sha256: str | None = None,
        *,
        verify: bool = False,
    ) -> None:
        self.corpus, self.split = Path(corpus), split
        self.manifest = manifests.read(self.corpus)
        self.layout = self.manifest.layout
        self.shards = [shard for shard in self.manifest.shards if shard.split == split]
        self.failure: UserError | None = None
        sizes = np.array([shard.rows for shard in self.shards], np.int64)
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        lengths = [shard.bucket or self.sequence_length for shard in self.shards]
        self._layouts = {length: self.manifest.layout_of(length) for length in set(lengths)}
        self.buckets = [
            Bucket(length, int(self._starts[places[0]]), int(sizes[places].sum()))
            for length in sorted(set(lengths))
            if len(places := np.flatnonzero(np.array(lengths) == length))
        ]
        if tokenizer_sha256 not in (None, self.manifest.tokenizer_sha256):
            raise UserError(
                f"{self.corpus}: records made with tokenizer {self.manifest.tokenizer_sha256},"
                f" but the tokenizer here is {tokenizer_sha256}; run `llm-keras tokenize` again"
            )
        self._check_files()
        if verify:
            self._check_hashes()
        if not self.num_rows:
            raise UserError(f"{self.corpus}: no {split} rows; give the corpus more documents")

    @property
    def num_rows(self) -> int:
        """Rows of the split."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def sequence_length(self) -> int:
        """T: a row holds T + 1 tokens."""
        return self.manifest.sequence_length

    def rows(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Reads rows by number.

        Args:
            indices: int64 [n], each in [0, num_rows), in any order; of pairs, all in one bucket.

        Returns:
            `tokens`, `segments` and `positions`, int32 [n, T + 1], and `answers` where there are
            any: see `packing.pack`. Of pairs `source` and `source_segments`, int32 [n, S], and
            `tokens` and `segments`, int32 [n, T + 1]: see `pairs`.

        Raises:
            UserError: A shard vanished, or a record is damaged; names file and byte.
        """
        indices = np.asarray(indices, np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.num_rows:
            raise IndexError(f"rows {indices.min()} to {indices.max()} of {self.num_rows}")
        shard_of = np.searchsorted(self._ends, indices, side="right")
        local = indices - self._starts[shard_of]
        layout = self._layout_of(shard_of)
        content = bytearray(len(indices) * layout.record_bytes)
        for number in np.unique(shard_of):
            places = np.flatnonzero(shard_of == number)
            self._read(self.shards[number], local[places], memoryview(content), places)
        records = np.frombuffer(content, layout.dtype)
        if (found := self._first_problem(records, layout)) is not None:
            problem, place = found
            row = int(local[place])
            raise UserError(
                f"{self.corpus / self.shards[shard_of[place]].file}: record {row} at byte"
                f" {row * layout.record_bytes}: {problem};"
                " restore the file or run `llm-keras tokenize` again"
            )
        rows = layout.decode(records)
        return pairs.with_segments(rows) if layout.kind == "pairs" else rows

    def documents(self) -> Iterator[np.ndarray]:
        """The documents of the split, rebuilt from the rows: int32 ids with bos and eos.

        Of pairs they are the target side. Packed by best fit, those longer than a row come in
        pieces that overlap by a token.
        """
        for first, end in zip(self._starts, self._ends, strict=True):
            blocks = (
                self.rows(np.arange(start, min(start + BLOCK_ROWS, end)))
                for start in range(first, end, BLOCK_ROWS)
            )
            if self.manifest.kind == "pairs":
                for block in blocks:
                    for tokens, segments in zip(block["tokens"], block["segments"], strict=True):
                        yield tokens[segments > 0]
            elif self.manifest.packing == "best_fit":
                yield from packing.segments_of(blocks)
            else:
                yield from packing.unpack(blocks)

    def _layout_of(self, shards: np.ndarray) -> RecordLayout:
        """The one layout of the records of these shards."""
        lengths = {self.shards[each].bucket for each in np.unique(shards)}
        if len(lengths) > 1:
            raise ValueError(f"rows of buckets {sorted(map(str, lengths))} have no common shape")
        return self._layouts[next(iter(lengths), None) or self.sequence_length]

    def _read(self, shard: Shard, rows: np.ndarray, into: memoryview, places: np.ndarray) -> None:
        """Reads rows of one shard into their places of a batch."""
        path = self.corpus / shard.file
        size = self._layouts[shard.bucket or self.sequence_length].record_bytes
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                if (found := os.fstat(file).st_size) != shard.bytes:
                    raise UserError(_wrong_size(path, shard, found))
                for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                    os.preadv(file, [into[place * size : (place + 1) * size]], row * size)
            finally:
                os.close(file)
        except OSError as error:
            raise UserError(f"{path}: cannot be read any more: {error.strerror}") from None

    def _first_problem(self, records: np.ndarray, layout: RecordLayout) -> tuple[str, int] | None:
        """What is wrong with a record, and with which; None if all are good."""
        size = self.manifest.vocabulary_size
        in_vocabulary = np.ones(len(records), bool)
        for name in {"source", "tokens"} & layout.columns.keys():
            in_vocabulary &= ((records[name] >= 0) & (records[name] < size)).all(axis=1)
        checks = [
            ("its length is damaged", layout.is_header(records)),
            ("its checksum does not fit", records["crc"] == layout.payload_crcs(records)),
            ("it is no record of this corpus's layout", layout.is_example(records)),
            (f"a token id is not in the vocabulary of {size}", in_vocabulary),
        ]
        if layout.kind == "pairs":
            least, most = (1, 2), (layout.widths["source"], layout.widths["tokens"])
            fits = (records["lengths"] >= least) & (records["lengths"] <= most)
            checks.append(("a length does not fit its row", fits.all(axis=1)))
        for problem, good in checks:
            if not good.all():
                return problem, int(np.flatnonzero(~good)[0])
        return None

    def _check_files(self) -> None:
        for shard in self.shards:
            path = self.corpus / shard.file
            try:
                found = path.stat().st_size
            except OSError:
                raise UserError(
                    f"{path}: missing, expected {shard.bytes} bytes ({shard.rows} rows);"
                    " restore it or run `llm-keras tokenize` again"
                ) from None
            if found != shard.bytes:
                raise UserError(_wrong_size(path, shard, found))
        # Another revision of a shard that is known was left by a takedown that did not end.
        known = {manifests.unrevised(shard.file) for shard in self.shards}
        for path in sorted(self.corpus.glob(f"{self.split}-*.tfrecord")):
            if manifests.unrevised(path.name) not in known:
                raise UserError(
                    f"{path}: not in {manifests.FILE_NAME}, which lists {len(known)} {self.split}"
                    " shards; remove it or run `llm-keras tokenize` again"
                )

    def _check_hashes(self) -> None:
        for shard in self.shards:
            path = self.corpus / shard.file
            found = files.sha256(path)
            if found != shard.sha256:
                raise UserError(
                    f"{path}: expected SHA-256 {shard.sha256}, found {found};"
                    " restore it or run `llm-keras tokenize` again"
                )


def _wrong_size(path: Path, shard: Shard, found: int) -> str:
    return (
        f"{path}: expected {shard.bytes} bytes ({shard.rows} rows), found {found};"
        " restore it or run `llm-keras tokenize` again"
    )
