"""A growing file of JSON objects, one a step."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llm_keras import files
from llm_keras.errors import UserError

SECONDS_BETWEEN_FLUSHES = 1.0


class JsonLines:
    """Appends objects that have a `step`, without waiting for the disk.

    Lines are handed to the operating system at least every `SECONDS_BETWEEN_FLUSHES` while lines
    come, on `flush`, and at the end.

    Args:
        path: The file. Lines after `step` are dropped on opening, and a last line that was cut.
        step: The step that work goes on from, so that each step stands in the file once.
        writes: False in a process of a run whose chief writes the file: only `last_step` is kept.

    Raises:
        UserError: The disk is full or refuses.
    """

    def __init__(self, path: Path, step: int, *, writes: bool = True) -> None:
        kept = [line for line in _lines(path) if _step(line) <= step]
        self.last_step = _step(kept[-1]) if kept else 0
        self._path, self._writes = path, writes
        with self._clear_errors():
            if writes:
                files.write_whole(path, "".join(kept))
            self._file = (path if writes else Path(os.devnull)).open("a", encoding="utf-8")
        self._flushed = time.monotonic()

    def append(self, **fields: Any) -> None:
        """Adds one line; `step` is one of its fields."""
        with self._clear_errors():
            self._file.write(json.dumps(fields) + "\n")
        self.last_step = fields["step"]
        if time.monotonic() - self._flushed >= SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Makes the lines visible to readers."""
        with self._clear_errors():
            self._file.flush()
        self._flushed = time.monotonic()

    def sync(self) -> None:
        """Waits until all that was flushed would outlive a power cut; in any thread."""
        with self._clear_errors():
            if self._writes:
                os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._clear_errors() if error is None else suppress(OSError):
            self._file.close()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be written ({error.strerror}); mend that and start again"
            ) from error


def float32(value: float) -> float | None:
    """A float32 in nine digits, which tell it from every other float32; None if it is not finite.

    >>> float32(0.10000000149011612), float32(float("inf"))
    (0.100000001, None)
    """
    return float(f"{value:.9g}") if math.isfinite(value) else None


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line for line in file if _step(line) > 0]


def _step(line: str) -> int:
    """The step of a line; 0 if it is none, as when a process was killed within it."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 0
