"""Reads source files into documents; what cannot be read becomes a dead letter."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.data.document import Document, document_id, pair_content, unify_newlines
from pipelines.files import SourceFile
from pipelines.quiet import beam
from pipelines.sources import KINDS, Text, Unreadable


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


def read_file(file: SourceFile, source: config.Source) -> Iterator[Document | DeadLetter]:
    """Reads one file with its kind's reader."""
    try:
        for found in KINDS[source.kind].read(Path(os.fsdecode(file.path)), source):
            yield _document(found, file, source)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
        yield DeadLetter(source.name, file.locator, None, None, problem)


def _document(
    found: Text | Unreadable, file: SourceFile, source: config.Source
) -> Document | DeadLetter:
    if isinstance(found, Unreadable):
        return DeadLetter(source.name, file.locator, found.line, found.offset, found.error)
    text = unify_newlines(found.text)
    target = None if found.target is None else unify_newlines(found.target)
    return Document(
        id=document_id(source.name, file.locator, pair_content(text, target)),
        text=text,
        source=source.name,
        subset=found.subset,
        language=source.language,
        licence=source.licence,
        url=found.url,
        target=target,
    )


class Read(beam.PTransform):
    """Source files -> `documents`, `dead` letters, and `counts` of what was read.

    Args:
        sources: The sources that the files belong to.
    """

    def __init__(self, sources: Sequence[config.Source]) -> None:
        super().__init__()
        self.sources = {source.name: source for source in sources}

    def expand(self, files: Any) -> Any:
        """Reads each file in one go; `beam.Create` has spread them over the workers."""
        return files | beam.ParDo(_ReadFile(self.sources)).with_outputs(
            "dead", "counts", main="documents"
        )


class _ReadFile(beam.DoFn):
    def __init__(self, sources: dict[str, config.Source]) -> None:
        self.sources = sources

    def process(self, element: tuple[Any, ...]) -> Iterator[Any]:
        file = SourceFile(*element)
        seen = size_bytes = 0
        for found in read_file(file, self.sources[file.source]):
            seen += 1
            if isinstance(found, DeadLetter):
                yield beam.pvalue.TaggedOutput("dead", tuple(found))
            else:
                size_bytes += found.size_bytes
                yield found
        counts = {"sources": {file.source: {"in": seen, "bytes_in": size_bytes}}}
        yield beam.pvalue.TaggedOutput("counts", counts)
