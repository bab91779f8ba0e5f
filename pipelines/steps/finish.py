r"""Step `finish`: parts, and which of their rows go -> the documents of the corpus.

    part -> less what goes -> decontaminate -> redact -> split -> pieces \
                                       what the reading of a task left  -> files

Here, and only here, a text is written for good.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.data.decontamination import REASON as CONTAMINATED
from llm_keras.data.decontamination import Contamination
from llm_keras.data.document import Document, content_digest, split_of, splits_of
from llm_keras.data.redaction import redacting
from llm_keras.data.rules import KEEP, Verdict, drop
from pipelines import parts, removals, segments, storage
from pipelines.counts import Counts, merge
from pipelines.judge import reject
from pipelines.quiet import beam
from pipelines.segments import Piece
from pipelines.steps.lines import without_repeated
from pipelines.steps.near import NEAR
from pipelines.workplace import CARRY, Workplace

FINISH = "finish"
#: Step -> the reason under which its documents are dropped.
REASONS = {"urls": "older_page", "duplicates": "duplicate", NEAR: "near_duplicate"}
REPEATED_LINES = "repeated_lines"


class Work(NamedTuple):
    """One thing to do.

    Args:
        kind: `part`; or what the reading of a task left: `rejected`, `dead`; or `carried`, a file
            of an earlier curation.
        number: Of the part or task.
        documents: Rows in it.
        name: Of the carried file.
    """

    kind: str
    number: int
    documents: int
    name: str = ""


class Finish(beam.PTransform):
    """Works -> counts; leaves the output files in the step's folder.

    Args:
        place: Where everything is.
        contamination: File of what documents are compared with; None: nothing.
    """

    def __init__(self, place: Workplace, contamination: str | None) -> None:
        super().__init__()
        self.place, self.contamination = place, contamination

    def expand(self, works: Any) -> Any:
        """One function for a part, then the pieces put together."""
        finished = works | "Finish" >> beam.ParDo(
            _Finish(self.place, self.contamination)
        ).with_outputs("counts", main="pieces")
        names = functools.partial(output_files, self.place.run.corpus)
        gathered = finished.pieces | "Gather" >> segments.Gather(names, self.place.of(FINISH))
        return (finished.counts, gathered) | "Counts" >> beam.Flatten()


def output_files(corpus: config.Corpus) -> list[str]:
    """Names of all files of documents, rejects and dead letters."""
    kinds = [f"documents/{split}" for split in splits_of(corpus)]
    kinds += ["rejected/rejected", "dead_letters/dead_letters"]
    return [_name(kind, shard, corpus.shards) for kind in kinds for shard in range(corpus.shards)]


def _name(kind: str, shard: int, shards: int) -> str:
    return f"{kind}-{shard:05d}-of-{shards:05d}.jsonl.gz"


class _Finish(beam.DoFn):
    def __init__(self, place: Workplace, contamination: str | None) -> None:
        self.place, self.contamination = place, contamination

    def setup(self) -> None:
        """Loads what documents are compared with."""
        self.compared: Contamination | None = None
        if self.contamination is not None:
            with storage.local_copy(self.contamination) as path:
                self.compared = Contamination.open(path)

    def process(self, element: tuple[Any, ...]) -> Iterator[Any]:
        work = Work(*element)
        if work.kind == "carried":
            path = storage.join(self.place.of(CARRY), work.name)
            yield work.name, tuple(Piece((-1, work.number), path, 0, None, work.documents))
            return
        if work.kind != "part":
            yield _of_task(work, self.place)
            return
        part = _Part(self.place)
        for document, verdict in self._judged(work.number):
            part.take(document, verdict)
        path = storage.join(self.place.of(FINISH), f"pieces-{work.number:08d}")
        for name, piece in segments.write(path, (0, work.number), part.rows):
            yield name, tuple(piece)
        yield beam.pvalue.TaggedOutput("counts", part.counted())

    def _judged(self, part: int) -> Iterator[tuple[Document, Verdict]]:
        place, corpus = self.place, self.place.run.corpus
        gone = place.removed(part)
        similar = removals.read_ledger(place.of(NEAR), part)
        left: list[Document] = []
        for row, document in enumerate(parts.documents(place.part(part))):
            if row in gone:
                step, kept = gone[row]
                alike = similar.get(document.id) if step == NEAR else None
                detail = f"of {kept}" if alike is None else f"of {kept}, similarity {alike:.2f}"
                yield document, drop(REASONS[step], detail)
            else:
                left.append(document)
        if corpus.deduplicate.lines:
            yield from self._with_lines_removed(part, left)
        else:
            yield from ((document, self._compared(document)) for document in left)

    def _with_lines_removed(
        self, part: int, left: list[Document]
    ) -> Iterator[tuple[Document, Verdict]]:
        least = self.place.run.corpus.deduplicate.minimum_words_left
        for document, text in without_repeated(self.place, part, left):
            words = len(text.split())
            if text != document.text and words < least:
                yield document, drop(REPEATED_LINES, f"{words} < {least} words left")
                continue
            changed = dataclasses.replace(document, text=text)
            yield changed, self._compared(changed)

    def _compared(self, document: Document) -> Verdict:
        settings = self.place.run.corpus.decontaminate
        if self.compared is None or settings is None:
            return KEEP
        hits = self.compared.hits(document.content.replace("\0", "\n"))
        return self.compared.verdict(hits, settings.maximum_hits)


def _of_task(work: Work, place: Workplace) -> tuple[str, tuple[Any, ...]]:
    kind = {"rejected": "rejected/rejected", "dead": "dead_letters/dead_letters"}[work.kind]
    shards = place.run.corpus.shards
    path = place.task(work.number, work.kind)
    piece = Piece((1, work.number), path, 0, None, work.documents)
    return _name(kind, work.number % shards, shards), tuple(piece)


class _Part:
    """The rows and the counts of one part."""

    def __init__(self, place: Workplace) -> None:
        self.run, self.corpus = place.run, place.run.corpus
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.counts: list[Counts] = []

    def take(self, document: Document, verdict: Verdict) -> None:
        """A document with the last verdict on it."""
        shard = shard_of(document, self.corpus.shards)
        if not verdict.keep:
            row = reject(document, verdict.reason, verdict.detail, self.corpus.redact)
            self._add(_name("rejected/rejected", shard, self.corpus.shards), row)
            self.counts.append({"sources": {document.source: {"dropped": {verdict.reason: 1}}}})
            if verdict.reason not in REASONS.values():  # those steps have counted theirs
                self.counts.append({"steps": {FINISH: {"in": 1, "dropped": 1}}})
            return
        document = redacting(document, self.corpus.redact)
        split = split_of(document, self.corpus, self.run.seed)
        self._add(_name(f"documents/{split}", shard, self.corpus.shards), document.as_dict())
        self.counts.append(count_kept(document, split))

    def _add(self, name: str, row: dict[str, Any]) -> None:
        self.rows.setdefault(name, []).append(row)

    def counted(self) -> Counts:
        """The counts of all documents together."""
        return merge(self.counts)


def count_kept(document: Document, split: str) -> Counts:
    """What a document that stays adds to the counts."""
    size_bytes = document.size_bytes
    source: Counts = {"kept": 1, "bytes_kept": size_bytes, "kept_in": {split: size_bytes}}
    counts: Counts = {
        "sources": {document.source: source},
        "splits": {split: {"documents": 1, "bytes": size_bytes}},
        "steps": {FINISH: {"in": 1, "out": 1}},
        "licences": {document.licence: {"documents": 1, "bytes": size_bytes}},
        "languages": {str(document.language): {"documents": 1, "bytes": size_bytes}},
    }
    if document.subset is not None:
        counts["subsets"] = {document.subset: 1}
    if document.redacted:
        source["redacted"] = merge({kind: 1} for _, _, kind in document.redacted)
    return counts


def shard_of(document: Document, shards: int) -> int:
    """The shard of a document, by its content: copies that differ in place share it."""
    return int.from_bytes(content_digest(document.content)[:8], "big") % shards


__all__ = ["CONTAMINATED", "FINISH", "REASONS", "Finish", "Work", "output_files", "shard_of"]
