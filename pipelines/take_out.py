"""Shards of a tokenized corpus without certain documents: new files beside the old ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llm_keras.data import manifest as manifests
from llm_keras.data.manifest import Manifest, Shard
from llm_keras.data.packing import Parts
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError
from pipelines import corpus_manifest, document_index, spill
from pipelines.counts import Counts
from pipelines.row_format import RowFormat
from pipelines.write_records import count, write_documents


class Rewritten(NamedTuple):
    """What a corpus is without some documents.

    Args:
        manifest: The new one.
        found: Ids that there were.
        old: Shards that are replaced.
        new: Their names from now on.
    """

    manifest: Manifest
    found: frozenset[str]
    old: tuple[str, ...]
    new: tuple[str, ...]


def rewrite(corpus: Path, manifest: Manifest, ids: Set[str], folder: Path) -> Rewritten:
    """Writes the shards that hold certain documents anew, without them, and their indexes.

    Each is what tokenization would have made of the other documents.

    Args:
        corpus: The folder of the shards; nothing in it is changed.
        manifest: Its manifest.
        ids: Of the documents.
        folder: Where to write.

    Raises:
        UserError: The corpus has no index, or is not what its manifest says.
    """
    rows = RowFormat(
        manifest.kind,
        manifest.sequence_length,
        manifest.vocabulary_size,
        tuple(bucket.length for bucket in manifest.buckets),
        manifest.packing,
    )
    counts = corpus_manifest.counts_of(manifest)
    wanted, found, old, new = pa.array(sorted(ids), pa.string()), set[str](), [], []
    for shard in manifest.shards:
        index = _index(corpus, shard)
        there = pc.is_in(index.column("id"), value_set=wanted)
        if not pc.any(there).as_py():
            continue
        found.update(index.filter(there).column("id").to_pylist())
        documents, lengths = _documents(corpus, manifest, shard, index)
        goes = pc.is_in(documents.column("id"), value_set=wanted)
        name = manifests.revised(shard.file)
        mask = goes.to_numpy(zero_copy_only=False)
        _subtract(counts, count(shard.file, documents.filter(goes), lengths[mask]))
        del counts["shards"][shard.file]
        written = write_documents(name, documents.filter(pc.invert(goes)), rows, str(folder))
        counts["shards"] |= written["shards"]
        old.append(shard.file)
        new.append(name)
    parts = corpus_manifest.totals(rows, list(manifest.splits), counts)
    changed = Manifest.model_validate(manifest.model_dump() | parts)
    return Rewritten(changed, frozenset(found), tuple(old), tuple(new))


def _index(corpus: Path, shard: Shard) -> Any:
    path = corpus / document_index.file_name(shard.file)
    if shard.index_sha256 is None:
        raise UserError(
            f"{corpus}: its records come from an earlier version, which kept no index of documents;"
            " run `llm-keras tokenize` again, then this"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); run `llm-keras tokenize` again"
        ) from None
    if (digest := hashlib.sha256(content).hexdigest()) != shard.index_sha256:
        raise UserError(
            f"{path}: expected SHA-256 {shard.index_sha256}, found {digest}; restore it or run"
            " `llm-keras tokenize` again"
        )
    return document_index.decode(content)


def _documents(
    corpus: Path, manifest: Manifest, shard: Shard, index: Any
) -> tuple[Any, np.ndarray]:
    """The documents of a shard as they were before they were laid into rows, and their lengths."""
    store = RecordStore(corpus, shard.split)
    places = [each.file for each in store.shards]
    before = sum(each.rows for each in store.shards[: places.index(shard.file)])
    rows = store.rows(before + np.arange(shard.rows))
    parts = document_index.parts_of(index)
    first = np.flatnonzero(np.diff(parts.document, prepend=-1))
    documents = pa.table(
        {
            field.name: index.column(field.name).cast(field.type)
            for field in spill.SCHEMA
            if field.name in index.column_names
        }
    ).take(first)
    before_parts = documents.column("given").to_numpy().astype(np.int64)
    if manifest.kind != "pairs":
        before_parts = np.zeros(len(first), np.int64)
    lengths = before_parts + np.maximum.reduceat(parts.start + parts.tokens, first)
    ids = _ids(rows, parts, lengths, before_parts)
    dtype = manifest.layout_of(shard.bucket).dtype["tokens"].base
    ends = np.cumsum(lengths)
    content = [
        ids[end - length : end].astype(dtype).tobytes()
        for end, length in zip(ends, lengths, strict=True)
    ]
    return documents.append_column("ids", pa.array(content, pa.large_binary())), lengths


def _ids(
    rows: dict[str, np.ndarray], parts: Parts, lengths: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """The ids of all documents of a shard, one after the other."""
    ids = np.zeros(int(lengths.sum()), np.int64)
    begins = np.cumsum(lengths) - lengths
    for document, start, tokens, row, first in zip(*parts, strict=True):
        at = begins[document] + sources[document] + start
        ids[at : at + tokens] = rows["tokens"][row, first : first + tokens]
        if sources[document]:
            source = rows["source"][row, : sources[document]]
            ids[begins[document] : begins[document] + sources[document]] = source
    return ids


def _subtract(counts: Counts, less: Counts) -> None:
    for name, value in less.items():
        if isinstance(value, dict):
            _subtract(counts[name], value)
        elif value:
            counts[name] -= value


def leftovers(corpus: Path, manifest: Manifest) -> list[Path]:
    """Shards and indexes of another revision than the manifest's: a takedown did not end."""
    shards = {shard.file for shard in manifest.shards}
    known = {manifests.unrevised(name) for name in shards}
    indexes = {corpus / document_index.file_name(name) for name in shards}
    found: Sequence[Path] = sorted(corpus.glob("*.tfrecord"))
    old = [
        path
        for path in found
        if path.name not in shards and manifests.unrevised(path.name) in known
    ]
    folder = corpus / document_index.FOLDER
    return old + [path for path in sorted(folder.glob("*.arrow")) if path not in indexes]
