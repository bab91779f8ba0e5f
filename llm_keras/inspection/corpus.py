"""Documents as they were curated, and rows as the model sees them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras import tokenizers
from llm_keras.data import manifest as manifests
from llm_keras.data.document import SPLITS
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError
from llm_keras.inspection.window import Window, shown
from llm_keras.pages.markup import number, size
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import Tokenizer

#: Token ids shown of a segment where there is no tokenizer to decode them.
IDS_SHOWN = 16


def is_documents(path: Path) -> bool:
    """A `.jsonl.gz` file, or a folder of such files."""
    return bool(_files(path))


def show_documents(path: Path, window: Window) -> Iterator[str]:
    """Kept or rejected documents, or dead letters: what is known of each, then its text."""
    yield f"{path}, from document {window.offset + 1} on"
    found = False
    for place, row in window.of(_rows(path)):
        found = True
        text = row.pop("text", None)
        known = ", ".join(f"{key} {shown(str(value))}" for key, value in row.items() if value)
        yield f"{place + 1}. {known}"
        if text is not None:
            yield f"   {size(len(text.encode(errors='replace')))}: {shown(text)}"
    if not found:
        yield "  none"


def is_corpus(path: Path) -> bool:
    """A folder with the manifest of record shards."""
    return path.is_dir() and any(path.glob("*.tfrecord"))


def show_corpus(path: Path, window: Window) -> Iterator[str]:
    """The manifest: totals, then shards."""
    manifest = manifests.read(path)
    yield (
        f"records in {path}: rows of {manifest.sequence_length} + 1 tokens,"
        f" vocabulary {number(manifest.vocabulary_size)}, {manifest.record_bytes} bytes a row"
    )
    for split, counts in manifest.splits.items():
        yield (
            f"  {split}: {number(counts.documents)} documents, {size(counts.bytes)},"
            f" {number(counts.tokens)} tokens, {number(counts.rows)} rows"
            + "".join(f", {number(n)} {reason}" for reason, n in counts.dropped.items())
        )
    for bucket in manifest.buckets:
        rows = ", ".join(f"{split} {number(count)}" for split, count in bucket.rows.items())
        yield f"  pairs of up to {bucket.length} tokens: {rows} rows"
    yield window.told(len(manifest.shards), "shards")
    for _, shard in window.of(manifest.shards):
        yield f"  {shard.file}: {number(shard.rows)} rows, {size(shard.bytes)}, {shard.sha256[:16]}"


def is_records(path: Path) -> bool:
    """A record shard."""
    return path.is_file() and path.suffix == ".tfrecord"


def show_records(path: Path, window: Window) -> Iterator[str]:
    """Rows of a shard: how full, which segments, and their text if the tokenizer is near."""
    split = path.name.partition("-")[0]
    if split not in SPLITS:
        raise UserError(f"{path}: expected a name like train-00000-of-00004.tfrecord")
    store = RecordStore(path.parent, split)
    before = 0
    for shard in store.shards:
        if shard.file == path.name:
            break
        before += shard.rows
    else:
        raise UserError(f"{path}: not in {manifests.FILE_NAME} beside it")
    tokenizer = _tokenizer(path.parent, store.manifest.tokenizer_sha256)
    if tokenizer is None:
        yield "no tokenizer of these records near: token ids instead of text"
    yield window.told(shard.rows, "rows")
    chosen = np.array([place for place, _ in window.of(range(shard.rows))], np.int64)
    rows = store.rows(chosen + before)
    for index, place in enumerate(chosen.tolist()):
        yield from _row(place, {name: rows[name][index] for name in rows}, tokenizer)


def _row(place: int, row: dict[str, np.ndarray], tokenizer: Tokenizer | None) -> Iterator[str]:
    tokens, segments = row["tokens"], row["segments"]
    used, last = int(np.count_nonzero(segments)), int(segments.max())
    yield f"row {place + 1}: {used} tokens, {last} segments, {len(tokens) - used} padding"
    if "source" in row:
        yield f"   source, {_said(row['source'][row['source_segments'] > 0], tokenizer)}"
    for segment in range(1, last + 1):
        yield f"   segment {segment}, {_said(tokens[segments == segment], tokenizer)}"


def _said(ids: np.ndarray, tokenizer: Tokenizer | None) -> str:
    """How many ids, and what they say; without a tokenizer the first of them."""
    if tokenizer is not None:
        said = shown(tokenizer.decode(ids.tolist()))
    else:
        said = " ".join(map(str, ids[:IDS_SHOWN])) + (" …" if len(ids) > IDS_SHOWN else "")
    return f"{len(ids)} tokens: {said}"


def _tokenizer(corpus: Path, sha256: str) -> Tokenizer | None:
    """The run's tokenizer, if it is the one that the records were made with."""
    path = RunFolder(corpus.parent).tokenizer_model
    if not path.is_file():
        return None
    tokenizer = tokenizers.load(path)
    return tokenizer if tokenizer.sha256 == sha256 else None


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.jsonl.gz"))
    return [path] if path.name.endswith(".jsonl.gz") else []


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for file in _files(path):
        try:
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise UserError(
                f"{file}: damaged ({type(error).__name__}); run `llm-keras curate` again"
            ) from None
