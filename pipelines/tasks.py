"""Files grouped into tasks, large ones cut into several: what one worker reads at a time.

The tasks follow from the listing alone, so that a document has the same place whatever the runner
and the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.files import SourceFile
from pipelines.storage import is_remote

#: A task ends with the file that reaches this many bytes or files: many small files make one, a
#: large one its own, or as many as it is times larger where its kind can be read in pieces.
LEAST_BYTES, MOST_BYTES = 4 * 2**20, 64 * 2**20
TASK_FILES = 1000
#: Between these bytes there are about as many tasks: enough that many workers share them evenly.
SHARES = 128


class Task(NamedTuple):
    """Files of one source.

    Args:
        number: From 0, in the order of sources and locators.
        files: As plain tuples, which Beam codes fastest.
        limit: Documents to read at most; None: all.
        piece: Its place and how many there are, where the task is a piece of its only file.
    """

    number: int
    files: tuple[tuple[Any, ...], ...]
    limit: int | None = None
    piece: tuple[int, int] | None = None

    @property
    def bytes(self) -> float:
        """How much there is to read."""
        return sum(SourceFile(*file).bytes for file in self.files) / (self.piece or (0, 1))[1]


def tasks_of(
    sources: Iterable[Sequence[SourceFile]],
    limit: int | None = None,
    in_pieces: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Task]:
    """Cuts the files of each source into tasks.

    Args:
        sources: The files of each source, sorted by locator.
        limit: Documents of each source to read at most, for a quick look; a source is then one
            task.
        in_pieces: Source -> what the names of its files end in that can be read in pieces.
    """
    every = list(sources)
    total = sum(file.bytes for files in every for file in files)
    size = min(MOST_BYTES, max(LEAST_BYTES, total // SHARES)) if limit is None else None
    groups = (group for files in every for group in _groups(files, size, in_pieces or {}))
    return [
        Task(number, tuple(map(tuple, files)), limit, piece)
        for number, (files, piece) in enumerate(groups)
    ]


def largest_first(tasks: Iterable[Task]) -> list[Task]:
    """The order to hand tasks out in: what takes long begins first, and shares come out even."""
    return sorted(tasks, key=lambda task: -task.bytes)


def _groups(
    files: Sequence[SourceFile], task_bytes: int | None, in_pieces: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[list[SourceFile], tuple[int, int] | None]]:
    """Cuts the files of a source into tasks of so many bytes; None: into one."""
    group: list[SourceFile] = []
    size_bytes = 0
    for file in files:
        pieces = file.bytes // task_bytes if task_bytes is not None else 1
        if pieces > 1 and _can_be_cut(file, in_pieces):
            if group:
                yield group, None
            group, size_bytes = [], 0
            yield from (([file], (place, pieces)) for place in range(pieces))
            continue
        group.append(file)
        size_bytes += file.bytes
        if task_bytes is not None and (size_bytes >= task_bytes or len(group) >= TASK_FILES):
            yield group, None
            group, size_bytes = [], 0
    if group:
        yield group, None


def _can_be_cut(file: SourceFile, in_pieces: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a file can be read in pieces: one that lies elsewhere would be copied for each."""
    suffixes = in_pieces.get(file.source, ())
    return file.locator.lower().endswith(suffixes) and not is_remote(os.fsdecode(file.path))
