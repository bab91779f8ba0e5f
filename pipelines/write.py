"""Writes documents, rejects and dead letters as shards, and counts what each holds."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from llm_keras import config
from llm_keras.data.document import SPLITS, Document, content_digest, split_of, write_json_lines
from llm_keras.data.rules import Verdict
from pipelines.apply_rules import Judged
from pipelines.counts import Counts, merge
from pipelines.deduplicate import drop_duplicates
from pipelines.outcome import FIRST_DEAD
from pipelines.quiet import beam
from pipelines.read import DeadLetter


class WriteDocuments(beam.PTransform):
    """Judged documents -> their files, and `counts` of them.

    All copies of a text go to one shard, chosen by its hash; there duplicates are dropped, the
    rest sorted and written. So a text moves between workers once, and shards are the same
    whatever the runner. A shard is held in memory while it is sorted: choose as many as make a
    shard some hundred megabytes.

    Args:
        run: Gives shards, seed, and whether to deduplicate.
        folder: Where to write; reachable for every worker.
    """

    def __init__(self, run: config.Run, folder: Path) -> None:
        super().__init__()
        self.run = run
        self.folder = folder

    def expand(self, judged: Any) -> Any:
        """Groups by shard, then writes each."""
        run, folder, num_shards = self.run, self.folder, self.run.corpus.shards
        keyed = judged | "ToShard" >> beam.Map(_to_shard, num_shards)
        return (
            (keyed, _every_shard(keyed, num_shards))
            | beam.Flatten()
            | beam.GroupByKey()
            | "WriteShard"
            >> beam.MapTuple(lambda shard, rows: write_documents(shard, rows, run, folder))
        )


class WriteDeadLetters(beam.PTransform):
    """Dead letters -> their files, and `counts` of them.

    Args:
        num_shards: Files to write.
        folder: Where to write; reachable for every worker.
    """

    def __init__(self, num_shards: int, folder: Path) -> None:
        super().__init__()
        self.num_shards = num_shards
        self.folder = folder

    def expand(self, letters: Any) -> Any:
        """Groups by shard, then writes each."""
        num_shards, folder = self.num_shards, self.folder
        keyed = letters | "ToShard" >> beam.Map(
            lambda letter: (_bucket(f"{letter[0]}/{letter[1]}", num_shards), letter)
        )
        return (
            (keyed, _every_shard(keyed, num_shards))
            | beam.Flatten()
            | beam.GroupByKey()
            | "WriteShard"
            >> beam.MapTuple(
                lambda shard, rows: write_dead_letters(shard, rows, num_shards, folder)
            )
        )


def write_documents(
    shard: int, packed: Iterable[tuple[Any, ...] | None], run: config.Run, folder: Path
) -> Counts:
    """Writes one shard of every split and of the rejects."""
    judged = sorted(_unpack(packed), key=lambda each: (each.document.id, each.document.url or ""))
    if run.corpus.deduplicate.exact:
        judged = list(drop_duplicates(judged))
    kept = [each.document for each in judged if each.verdict.keep]
    counts = [_count(each) for each in judged]
    for name in SPLITS:
        chosen = [document for document in kept if split_of(document, run.corpus, run.seed) == name]
        file = f"documents/{name}-{_number(shard, run.corpus.shards)}"
        counts.append(_write(folder, file, [document.as_dict() for document in chosen]))
        size_bytes = sum(document.size_bytes for document in chosen)
        counts.append({"splits": {name: {"documents": len(chosen), "bytes": size_bytes}}})
    rejected = [_reject(each) for each in judged if not each.verdict.keep]
    counts.append(
        _write(folder, f"rejected/rejected-{_number(shard, run.corpus.shards)}", rejected)
    )
    return merge(counts)


def write_dead_letters(
    shard: int, packed: Iterable[tuple[Any, ...] | None], num_shards: int, folder: Path
) -> Counts:
    """Writes one shard of dead letters."""
    letters = [DeadLetter(*letter) for letter in packed if letter is not None]
    letters.sort(key=lambda each: (each.source, each.locator, each.line or 0, each.offset or 0))
    file = f"dead_letters/dead_letters-{_number(shard, num_shards)}"
    counts = [_write(folder, file, [letter._asdict() for letter in letters])]
    for letter in letters:
        counts.append({"sources": {letter.source: {"dead": 1}}})
    for _, group in itertools.groupby(letters, key=lambda each: each.source):
        for letter in itertools.islice(group, FIRST_DEAD):
            first = {letter.place(): letter.error}
            counts.append({"sources": {letter.source: {"first_dead": first}}})
    return merge(counts)


def _count(judged: Judged) -> Counts:
    document, verdict = judged
    if verdict.keep:
        counts = {"kept": 1, "bytes_kept": document.size_bytes}
        subset = {} if document.subset is None else {"subsets": {document.subset: 1}}
        return {"sources": {document.source: counts}} | subset
    return {"sources": {document.source: {"dropped": {verdict.reason: 1}}}}


def _reject(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    return judged.document.as_dict() | {"reason": verdict.reason, "detail": verdict.detail}


def _write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Counts:
    """Writes one file whole or not at all; a worker that does it again changes nothing."""
    path = folder / f"{name}.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with unfinished.open("wb") as file:
        write_json_lines(file, rows)
    data = unfinished.read_bytes()
    unfinished.replace(path)
    facts = {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "documents": len(rows),
    }
    return {"files": {f"{name}.jsonl.gz": facts}}


def _number(shard: int, num_shards: int) -> str:
    return f"{shard:05d}-of-{num_shards:05d}"


def _bucket(key: str, num_buckets: int) -> int:
    return int.from_bytes(content_digest(key)[:8], "big") % num_buckets


def _to_shard(judged: Judged, num_shards: int) -> tuple[int, tuple[Any, ...]]:
    """Keys a document by its shard, as plain tuples: Beam codes those fastest."""
    document, verdict = judged
    return _bucket(document.content, num_shards), (document.as_tuple(), tuple(verdict))


def _unpack(packed: Iterable[tuple[Any, ...] | None]) -> Iterator[Judged]:
    for each in packed:
        if each is not None:
            fields, verdict = each
            yield Judged(Document(*fields), Verdict(*verdict))


def _every_shard(keyed: Any, num_shards: int) -> Any:
    """One None for each shard, so that empty ones are written too."""
    return keyed.pipeline | "EveryShard" >> beam.Create(
        [(n, None) for n in range(num_shards)], reshuffle=False
    )
