"""`corpus/manifest.json`: what the shards of a corpus hold, and by which hash they are known."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from llm_keras import files
from llm_keras.data.document import Split
from llm_keras.data.record_codec import RecordLayout, RowKind
from llm_keras.errors import UserError

FILE_NAME = "manifest.json"
#: Split, bucket, number, and the revision.
FILE_PATTERN = r"^(train|validation|test)-(b\d{5}-)?\d{5}-of-\d{5}(\.r\d+)?\.tfrecord$"
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


def _is_nothing(value: object) -> bool:
    """What only pairs have is not written for other rows."""
    return not value


class Entry(BaseModel):
    """Base of the manifest's parts: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Shard(Entry):
    """One TFRecord file.

    Attributes:
        file: Its name; `.r1`, `.r2`... in it is how often documents were taken out of it.
        split: Training, validation or test.
        rows: Records in it.
        bytes: Its size.
        sha256: Of its content.
        padding: Places of its rows that hold no token.
        index_sha256: Of the file that says which document lies where in it.
    """

    file: str = Field(pattern=FILE_PATTERN)
    split: Split
    rows: NonNegativeInt
    bytes: NonNegativeInt
    sha256: str = Sha256
    padding: NonNegativeInt = 0
    index_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", exclude_if=_is_nothing)

    @property
    def bucket(self) -> int | None:
        """The length that its pairs are filled up to; None where rows are packed."""
        found = re.search(r"-b(\d{5})-", self.file)
        return int(found[1]) if found else None


class Bucket(Entry):
    """Pairs that are filled up to one length.

    Attributes:
        length: S and T.
        record_bytes: Of one row in a file, framing included.
        rows: Of each split.
    """

    length: PositiveInt
    record_bytes: PositiveInt
    rows: dict[Split, NonNegativeInt]


class SplitCounts(Entry):
    """Totals of one split.

    Attributes:
        rows: Rows, over all shards.
        tokens: bos and eos included, padding and the overlap of rows not; of pairs the target side.
        targets: Tokens that a model predicts: all but each document's bos; of answers the answer.
        documents: Documents in the rows.
        bytes: UTF-8 bytes of the text that the targets stand for.
        bytes_per_token: Bytes that one token of that text stands for, bos and eos not counted.
        source_tokens: Of pairs, the source side with eos.
        dropped: Documents in no row, by reason: pairs too long for any, and by the mixture.
        padding: Fraction of the places in its rows that hold no token.
    """

    rows: NonNegativeInt
    tokens: NonNegativeInt
    targets: NonNegativeInt
    documents: NonNegativeInt
    bytes: NonNegativeInt
    bytes_per_token: float
    source_tokens: NonNegativeInt = Field(0, exclude_if=_is_nothing)
    dropped: dict[str, PositiveInt] = Field(default={}, exclude_if=_is_nothing)
    padding: float = 0.0


class PartCounts(Entry):
    """What one source of the run file gave, or the documents of one licence, over all splits.

    Attributes:
        documents: A document that is trained on twice counts twice.
        tokens: bos and eos included; of pairs, of both sides.
        train_tokens: Those in the training split.
    """

    documents: NonNegativeInt
    tokens: NonNegativeInt
    train_tokens: NonNegativeInt = 0


class Manifest(Entry):
    """Everything a reader must know before it opens a shard."""

    format: Literal[1] = 1
    sequence_length: PositiveInt
    vocabulary_size: PositiveInt
    columns: dict[str, str]
    record_bytes: PositiveInt = Field(
        description="Of one row in a file, framing included; of pairs, of the longest."
    )
    tokenizer_sha256: str = Sha256
    settings_hash: str = Sha256
    curation_hash: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", exclude_if=_is_nothing)
    packing: Literal["stream", "best_fit"] = "stream"
    splits: dict[Split, SplitCounts]
    shards: tuple[Shard, ...]
    sources: dict[str, PartCounts]
    licences: dict[str, PartCounts] = Field({}, exclude_if=_is_nothing)
    buckets: tuple[Bucket, ...] = Field((), exclude_if=_is_nothing)

    @property
    def kind(self) -> RowKind:
        """What the rows are."""
        if "source" in self.columns:
            return "pairs"
        return "answers" if "answers" in self.columns else "packed"

    @property
    def layout(self) -> RecordLayout:
        """The layout of every record; of pairs, of the longest."""
        return self.layout_of(None)

    def layout_of(self, bucket: int | None) -> RecordLayout:
        """The layout of the records of a bucket."""
        return RecordLayout(bucket or self.sequence_length, self.vocabulary_size, self.kind)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the shards' hashes: equal for equal data, wherever it lies."""
        return settings_hash({shard.file: shard.sha256 for shard in self.shards})


def unrevised(file: str) -> str:
    """The name that a shard had before documents were taken out of it.

    >>> unrevised("train-00000-of-00004.r2.tfrecord")
    'train-00000-of-00004.tfrecord'
    """
    return re.sub(r"\.r\d+\.tfrecord$", ".tfrecord", file)


def revised(file: str) -> str:
    """The name that a shard gets when documents are taken out of it.

    >>> revised("train-00000-of-00004.tfrecord"), revised("train-00000-of-00004.r9.tfrecord")
    ('train-00000-of-00004.r1.tfrecord', 'train-00000-of-00004.r10.tfrecord')
    """
    found = re.search(r"\.r(\d+)\.tfrecord$", file)
    number = int(found[1]) + 1 if found else 1
    return f"{unrevised(file).removesuffix('.tfrecord')}.r{number}.tfrecord"


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


def encode(manifest: Manifest) -> bytes:
    """The content of the file."""
    return manifest.model_dump_json(indent=1).encode() + b"\n"


def write(manifest: Manifest, corpus: Path) -> None:
    """Writes the manifest, whole or not at all: with it the corpus is complete."""
    files.write_whole(corpus / FILE_NAME, encode(manifest))


def _check(manifest: Manifest, path: Path) -> None:
    layout = manifest.layout
    found = (manifest.record_bytes, manifest.columns)
    if found != (layout.record_bytes, layout.columns):
        raise UserError(
            _again(path, f"expected records of {layout.record_bytes} bytes, found {found[0]}")
        )
    sizes = {bucket: manifest.layout_of(bucket).record_bytes for bucket in _buckets(manifest)}
    for each in manifest.buckets:
        if each.record_bytes != sizes.get(each.length):
            raise UserError(_again(path, f"bucket {each.length}: {each.record_bytes} bytes a row"))
    for shard in manifest.shards:
        if shard.bytes != shard.rows * sizes[shard.bucket]:
            raise UserError(_again(path, f"{shard.file}: {shard.rows} rows in {shard.bytes} bytes"))
    for split, counts in manifest.splits.items():
        rows = sum(shard.rows for shard in manifest.shards if shard.split == split)
        if rows != counts.rows:
            raise UserError(_again(path, f"{split}: {counts.rows} rows, but {rows} in its shards"))


def _buckets(manifest: Manifest) -> set[int | None]:
    return {shard.bucket for shard in manifest.shards}


def _again(path: Path, problem: str) -> str:
    return f"{path}: damaged ({problem}); run `llm-keras tokenize` again"
