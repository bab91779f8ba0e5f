"""`corpus/manifest.json`: what the shards of a corpus hold, and by which hash they are known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from llm_keras import files
from llm_keras.data.record_codec import RecordLayout
from llm_keras.errors import UserError

FILE_NAME = "manifest.json"
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class Entry(BaseModel):
    """Base of the manifest's parts: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Shard(Entry):
    """One TFRecord file."""

    file: str = Field(pattern=r"^(train|validation)-\d{5}-of-\d{5}\.tfrecord$")
    split: Literal["train", "validation"]
    rows: NonNegativeInt
    bytes: NonNegativeInt
    sha256: str = Sha256


class SplitCounts(Entry):
    """Totals of one split.

    Attributes:
        rows: Packed rows, over all shards.
        tokens: bos and eos included, padding and the overlap of rows not.
        targets: Tokens that a model predicts: all but each document's bos.
        documents: Documents.
        bytes: UTF-8 bytes of their text.
        bytes_per_token: Bytes that one token of text stands for, bos and eos not counted.
    """

    rows: NonNegativeInt
    tokens: NonNegativeInt
    targets: NonNegativeInt
    documents: NonNegativeInt
    bytes: NonNegativeInt
    bytes_per_token: float


class SourceCounts(Entry):
    """What one source of the run file gave, over both splits."""

    documents: NonNegativeInt
    tokens: NonNegativeInt


class Manifest(Entry):
    """Everything a reader must know before it opens a shard."""

    format: Literal[1] = 1
    sequence_length: PositiveInt
    vocabulary_size: PositiveInt
    columns: dict[str, str]
    record_bytes: PositiveInt = Field(description="Of one row in a file, framing included.")
    tokenizer_sha256: str = Sha256
    settings_hash: str = Sha256
    splits: dict[Literal["train", "validation"], SplitCounts]
    shards: tuple[Shard, ...]
    sources: dict[str, SourceCounts]

    @property
    def layout(self) -> RecordLayout:
        """The layout of every record."""
        return RecordLayout(self.sequence_length, self.vocabulary_size)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the shards' hashes: equal for equal data, wherever it lies."""
        return settings_hash({shard.file: shard.sha256 for shard in self.shards})


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings, independent of the order of their keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def read(corpus: Path) -> Manifest:
    """Reads and checks the manifest of a corpus folder.

    Raises:
        UserError: It is missing, damaged, or contradicts itself.
    """
    path = corpus / FILE_NAME
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no manifest; run `llm-keras tokenize` first") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise UserError(_again(path, f"{where}: {first['msg']}")) from None
    _check(manifest, path)
    return manifest


def write(manifest: Manifest, corpus: Path) -> None:
    """Writes the manifest, whole or not at all: with it the corpus is complete."""
    files.write_whole(corpus / FILE_NAME, manifest.model_dump_json(indent=1) + "\n")


def _check(manifest: Manifest, path: Path) -> None:
    layout = manifest.layout
    found = (manifest.record_bytes, manifest.columns)
    if found != (layout.record_bytes, layout.columns):
        raise UserError(
            _again(path, f"expected records of {layout.record_bytes} bytes, found {found[0]}")
        )
    for shard in manifest.shards:
        if shard.bytes != shard.rows * layout.record_bytes:
            raise UserError(_again(path, f"{shard.file}: {shard.rows} rows in {shard.bytes} bytes"))
    for split, counts in manifest.splits.items():
        rows = sum(shard.rows for shard in manifest.shards if shard.split == split)
        if rows != counts.rows:
            raise UserError(_again(path, f"{split}: {counts.rows} rows, but {rows} in its shards"))


def _again(path: Path, problem: str) -> str:
    return f"{path}: damaged ({problem}); run `llm-keras tokenize` again"
