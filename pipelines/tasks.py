"""Files grouped into tasks: what one worker reads at a time.

The tasks follow from the listing alone, so that a document has the same place whatever the runner
and the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipelines.files import SourceFile

#: A task ends with the file that reaches either: many small files make one, a large one its own.
TASK_BYTES = 64 * 2**20
TASK_FILES = 1000


class Task(NamedTuple):
    """Files of one source.

    Args:
        number: From 0, in the order of sources and locators.
        files: As plain tuples, which Beam codes fastest.
        limit: Documents to read at most; None: all.
    """

    number: int
    files: tuple[tuple[Any, ...], ...]
    limit: int | None = None


def tasks_of(sources: Iterable[Sequence[SourceFile]], limit: int | None = None) -> list[Task]:
    """Cuts the files of each source into tasks.

    Args:
        sources: The files of each source, sorted by locator.
        limit: Documents of each source to read at most, for a quick look; a source is then one
            task.
    """
    groups = (group for files in sources for group in _groups(files, cut=limit is None))
    return [Task(number, tuple(map(tuple, files)), limit) for number, files in enumerate(groups)]


def _groups(files: Sequence[SourceFile], *, cut: bool) -> Iterator[list[SourceFile]]:
    group: list[SourceFile] = []
    size_bytes = 0
    for file in files:
        group.append(file)
        size_bytes += file.bytes
        if cut and (size_bytes >= TASK_BYTES or len(group) >= TASK_FILES):
            yield group
            group, size_bytes = [], 0
    if group:
        yield group
