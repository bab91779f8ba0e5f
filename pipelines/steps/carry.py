r"""Step `carry`: what an earlier curation left, less what comes of files that are read again.

    old file -> its rows, less those of files read again -> the file as it goes on, counts, keys

New documents are compared with the keys, so that a copy of what is there already is a duplicate.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from llm_keras.data.document import Document, content_digest, write_json_lines
from llm_keras.data.screening import normalize_url
from pipelines import index, keys, storage
from pipelines.counts import Counts, merge
from pipelines.quiet import beam
from pipelines.steps import lines, near
from pipelines.steps.finish import count_kept
from pipelines.workplace import CARRY, Workplace

#: The snapshot that the keys make, in the step's folder.
PREVIOUS = "previous"
#: Rows looked at together: bounds the memory, and the files of keys.
BATCH_ROWS = 20_000


class Carry(beam.PTransform):
    """Names of files below the corpus's folder -> counts; leaves the files and keys.

    Args:
        place: Where to leave them.
        corpus: The folder of the corpus.
        again: `source/locator` of every file that is read again, or is gone.
    """

    def __init__(self, place: Workplace, corpus: str, again: frozenset[str]) -> None:
        super().__init__()
        self.place, self.corpus, self.again = place, corpus, again

    def expand(self, names: Any) -> Any:
        """One function."""
        return names | beam.Map(carry, self.place, self.corpus, self.again)


def carry(name: str, place: Workplace, corpus: str, again: frozenset[str]) -> Counts:
    """Carries one file on."""
    counts: list[Counts] = []
    rows = 0
    path = storage.join(place.of(CARRY), name)
    with storage.writing(path) as file:
        for number, batch in enumerate(_batches(storage.join(corpus, name), again)):
            rows += len(batch)
            packed = io.BytesIO()
            write_json_lines(packed, batch)
            file.write(packed.getvalue())
            counts += [_counted(name, row) for row in batch]
            if name.startswith("documents/"):
                stem = name.removeprefix("documents/").removesuffix(".jsonl.gz")
                documents = [Document.from_dict(row) for row in batch]
                counts.append(_remember(documents, f"{stem}-{number:04d}", place))
    return merge([*counts, {"carried": {name: rows}}])


def _batches(path: str, again: frozenset[str]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    with storage.open_to_read(path) as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if file_of(row) not in again:
                batch.append(row)
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
    if batch:
        yield batch


def file_of(row: dict[str, Any]) -> str:
    """`source/locator` of the file that a row came from."""
    return f"{row['source']}/{str(row.get('locator')).partition('#')[0]}"


def _counted(name: str, row: dict[str, Any]) -> Counts:
    if name.startswith("dead_letters/"):
        return {"sources": {row["source"]: {"in": 1, "dead": 1}}}
    if name.startswith("rejected/"):
        size_bytes = sum(len((row.get(side) or "").encode()) for side in ("text", "target"))
        counts = {"in": 1, "bytes_in": size_bytes, "dropped": {row["reason"]: 1}}
        return {"sources": {row["source"]: counts}}
    document = Document.from_dict(row)
    split = name.removeprefix("documents/").partition("-")[0]
    read = {"sources": {document.source: {"in": 1, "bytes_in": document.size_bytes}}}
    return merge([read, count_kept(document, split)])


def _remember(documents: list[Document], stem: str, place: Workplace) -> Counts:
    """Leaves the keys of some documents; names the files."""
    folder = storage.join(place.of(CARRY), PREVIOUS, PREVIOUS)
    deduplicate = place.run.corpus.deduplicate
    tables = {}
    if deduplicate.exact:
        digests = [content_digest(document.content) for document in documents]
        tables["duplicates"] = _keys(digests, documents, place)
    if deduplicate.urls:
        having = [document for document in documents if document.url]
        digests = [content_digest(normalize_url(document.url or "")) for document in having]
        tables["urls"] = _keys(digests, having, place)
    if deduplicate.lines:
        first, _ = lines.first_lines([document.text for document in documents])
        tables[lines.LINES] = lines.digests_of(first)
    if deduplicate.near is not None:
        texts = [document.content.replace("\0", "\n") for document in documents]
        tables[near.BANDS] = near.banded(
            near.band_digests(texts, deduplicate.near),
            _keys([b"\0" * 16] * len(documents), documents, place),
        )
    return {"remembered": index.write_keys(folder, stem, tables)}


def _keys(digests: list[bytes], documents: list[Document], place: Workplace) -> keys.Rows:
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    nothing = np.zeros(len(documents), np.uint64)
    ids = [document.id for document in documents]
    return keys.build(table, ids, nothing, place.source_numbers, 0, nothing)
