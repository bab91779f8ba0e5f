r"""Step `read`: files -> documents that the rules keep, in parts.

    task -> read -> screen -> rules -> parts
                                \-> rejects and dead letters, a file each

One function from file to part: nothing moves between workers. Cheap questions come first.
"""

from __future__ import annotations

import io
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.data import takedowns
from llm_keras.data.document import (
    Document,
    document_id,
    pair_content,
    unify_newlines,
    write_json_lines,
)
from pipelines import parts, storage
from pipelines.counts import Counts
from pipelines.files import SourceFile
from pipelines.judge import Judge, Judged
from pipelines.quiet import beam
from pipelines.sources import KINDS, Found, Passed, Piece, Text, Unreadable
from pipelines.tasks import Task
from pipelines.workplace import Workplace, part_number

#: Dead letters that curation.json and an error message name.
FIRST_DEAD = 3


#: The reason of documents that were taken down and must not come back.
TAKEN_DOWN = takedowns.REASON


class DeadLetter(NamedTuple):
    """A note about something that could not be read; never any of its text."""

    source: str
    locator: str
    line: int | None
    offset: int | None
    error: str

    def place(self) -> str:
        """Where it is, in words for a message."""
        line = f" line {self.line}" if self.line is not None else ""
        offset = f" byte {self.offset}" if self.offset is not None else ""
        return f"{self.locator}{line}{offset}"


class Skipped(NamedTuple):
    """What a reader passed over on purpose."""

    source: str
    locator: str
    reason: str


def read_file(
    file: SourceFile, source: config.Source, piece: tuple[int, int] | None = None
) -> Iterator[Document | DeadLetter | Skipped]:
    """Reads one file, or a piece of it, with its kind's reader."""
    arguments = () if piece is None else (Piece(*piece),)
    try:
        with storage.local_copy(os.fsdecode(file.path)) as path:
            for found in KINDS[source.kind].read(path, source, *arguments):
                yield _described(found, file, source)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
        yield DeadLetter(source.name, file.locator, None, None, problem)


def _described(
    found: Found, file: SourceFile, source: config.Source
) -> Document | DeadLetter | Skipped:
    locator = file.locator if found.name is None else f"{file.locator}#{found.name}"
    if isinstance(found, Unreadable):
        return DeadLetter(source.name, locator, found.line, found.offset, found.error)
    if isinstance(found, Passed):
        return Skipped(source.name, locator, found.reason)
    return _document(found, locator, source)


def _document(found: Text, locator: str, source: config.Source) -> Document:
    text = unify_newlines(found.text)
    target = None if found.target is None else unify_newlines(found.target)
    return Document(
        id=document_id(source.name, locator, pair_content(text, target)),
        text=text,
        source=source.name,
        subset=found.subset,
        language=found.language or source.language,
        licence=found.licence or source.licence,
        url=found.url,
        target=target,
        locator=locator,
        timestamp=found.timestamp,
        consent=source.consent,
        private=source.is_private,
    )


class Read(beam.PTransform):
    """Tasks -> counts; leaves part files, and what was dropped and dead, in files of the task.

    Args:
        place: Where to leave them.
    """

    def __init__(self, place: Workplace) -> None:
        super().__init__()
        self.place = place

    def expand(self, tasks: Any) -> Any:
        """One function."""
        return tasks | beam.ParDo(_ReadTask(self.place))


class _ReadTask(beam.DoFn):
    def __init__(self, place: Workplace) -> None:
        self.place = place

    def setup(self) -> None:
        """Makes the rules in the worker: they are closures, which do not travel."""
        self.judge = Judge(self.place.run.corpus)

    def process(self, element: tuple[Any, ...]) -> Iterator[Counts]:
        task = Task(*element)
        out = _TaskFiles(task, self.place)
        sources = {source.name: source for source in self.place.run.corpus.sources}
        found = itertools.chain.from_iterable(
            read_file(file, sources[file.source], task.piece)
            for file in (SourceFile(*f) for f in task.files)
        )
        for each in itertools.islice(found, task.limit):
            if isinstance(each, Document) and each.id not in self.place.taken_down:
                out.take(self._judged(each))
            elif isinstance(each, Document):  # nothing of its text is to be written anywhere
                out.note(Skipped(each.source, each.locator or "", TAKEN_DOWN))
            else:
                out.note(each)
        yield out.finish(self.judge.measured())

    def _judged(self, document: Document) -> Judged | DeadLetter:
        try:
            return self.judge(document)
        except Exception as error:
            # A defect of a rule costs the document, not the job. Not its message: it may quote.
            problem = f"a rule failed on document {document.id}: {type(error).__name__}"
            locator = document.locator or document.id
            return DeadLetter(document.source, locator, None, None, problem)


class _TaskFiles:
    """What becomes of one task: its parts, rejects and dead letters, and the counts."""

    def __init__(self, task: Task, place: Workplace) -> None:
        self.task, self.place = task, place
        self.source = SourceFile(*task.files[0]).source
        self.redact = place.run.corpus.redact
        self.kept: list[Document] = []
        self.kept_bytes = 0
        self.parts: dict[str, Counts] = {}
        self.rejected: list[dict[str, Any]] = []
        self.dead: list[DeadLetter] = []
        self.seen = self.bytes_in = 0
        self.dropped: dict[str, int] = {}
        self.removed_lines: Counter[str] = Counter()

    def take(self, judged: Judged | DeadLetter) -> None:
        """A document that was read, with the verdict on it."""
        if isinstance(judged, DeadLetter):
            self.note(judged)
            return
        self.seen += 1
        self.bytes_in += judged.size_bytes
        self.removed_lines.update(judged.removed_lines)
        if judged.verdict.keep:
            self.kept.append(judged.document)
            self.kept_bytes += judged.document.size_bytes
            if self.kept_bytes >= parts.PART_BYTES or len(self.kept) >= parts.PART_DOCUMENTS:
                self._write_part()
        else:
            self._drop(judged.verdict.reason)
            self.rejected.append(judged.as_reject(self.redact))

    def note(self, each: DeadLetter | Skipped) -> None:
        """Something that is no document."""
        self.seen += 1
        if isinstance(each, DeadLetter):
            self.dead.append(each)
        else:
            self._drop(each.reason)
            fields = {"id": None, "source": each.source, "locator": each.locator}
            self.rejected.append(fields | {"reason": each.reason, "detail": "not read as a text"})

    def finish(self, measured: Counts) -> Counts:
        """Writes what is left; gives the counts."""
        if self.kept:
            self._write_part()
        _write(self.place.task(self.task.number, "rejected"), self.rejected)
        _write(self.place.task(self.task.number, "dead"), [each._asdict() for each in self.dead])
        dead = len(self.dead)
        counts: Counts = {
            "in": self.seen,
            "bytes_in": self.bytes_in,
            "dropped": self.dropped,
            "removed_lines": dict(self.removed_lines),
            "dead": dead,
            "first_dead": {each.place(): each.error for each in self.dead[:FIRST_DEAD]},
        }
        out = sum(part["documents"] for part in self.parts.values())
        dropped = sum(self.dropped.values())
        step = {"in": self.seen, "dropped": dropped, "dead": dead, "out": out}
        tasks = {f"{self.task.number:06d}": {"rejected": len(self.rejected), "dead": dead}}
        return {
            "sources": {self.source: counts},
            "steps": {"read": step},
            "parts": self.parts,
            "tasks": tasks,
            **measured,
        }

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def _write_part(self) -> None:
        number = part_number(self.task, len(self.parts))
        parts.write(self.place.part(number), self.kept)
        self.parts[f"{number:08d}"] = {"documents": len(self.kept), "bytes": self.kept_bytes}
        self.kept, self.kept_bytes = [], 0


def _write(path: str, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows, if there are any."""
    if rows:
        packed = io.BytesIO()
        write_json_lines(packed, rows)
        storage.write(path, packed.getvalue())
