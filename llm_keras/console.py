"""What a person sees while something runs: a progress bar on a terminal, plain lines in a log.

Everything here goes to standard error, so that standard output carries results alone.

>>> with progress("curate", total=3, unit="documents") as bar:
...     for done in range(1, 4):
...         bar.update(done, kept=done)
>>> say("curate: 3 documents kept")
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between two lines of progress where there is no terminal.
SECONDS_BETWEEN_LINES = 10.0

Field = int | float | str


class Progress(Protocol):
    """What `progress` gives to the code that does the work."""

    def update(self, done: int, **fields: Field) -> None:
        """Tells how far the work is.

        Args:
            done: Units finished so far, those before the start included.
            **fields: Figures to show beside it; `_per_second` in a name is shown as `/s`.
        """


def quieten() -> None:
    """From now on only warnings are shown: of several processes that do the same, one speaks."""
    _quiet.append(True)


def say(message: str) -> None:
    """Prints one line; above the progress bar where there is one."""
    if not _quiet:
        _print(message)


def _print(message: str) -> None:
    _console().print(message, markup=False, emoji=False, highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """Prints one line that asks for attention."""
    _print(f"warning: {message}")


@contextmanager
def progress(
    description: str, total: int | None, *, initial: int = 0, unit: str = ""
) -> Iterator[Progress]:
    """Shows how far a piece of work is, until the block ends.

    Args:
        description: What is going on, in a word or two.
        total: Units of the whole; None if nobody knows.
        initial: Units that were done before, as when training goes on.
        unit: What is counted, as `steps`.

    Yields:
        An object with `update(done, **fields)`; calling it thousands of times a second is fine.
    """
    if _console().is_terminal and not _quiet:
        with _bar(description, total, initial, unit) as bar:
            yield bar
    else:
        lines = LogLines(description, total, initial, unit)
        try:
            yield lines
        finally:
            lines.close()


class LogLines:
    """Progress as plain lines: one every `SECONDS_BETWEEN_LINES`, and the last."""

    def __init__(self, description: str, total: int | None, initial: int, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._initial = self._done = self._printed = initial
        self._fields: dict[str, Field] = {}
        self._start = self._last = time.monotonic()

    def update(self, done: int, **fields: Field) -> None:
        """Remembers how far the work is and prints a line when one is due."""
        self._done, self._fields = done, fields
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._print()

    def close(self) -> None:
        """Prints where the work ended, if no line has said so yet."""
        if self._done != self._printed:
            self._print()

    def _print(self) -> None:
        self._last, self._printed = time.monotonic(), self._done
        parts = [_count(self._done, self._total, self._unit), *_shown(self._fields)]
        if left := self._seconds_left():
            parts.append(f"{duration(left)} left")
        say(f"{self._description}: {', '.join(parts)}")

    def _seconds_left(self) -> float | None:
        made = self._done - self._initial
        if self._total is None or made <= 0:
            return None
        return (self._total - self._done) * (time.monotonic() - self._start) / made


class _TerminalBar:
    """Progress as a bar drawn by rich."""

    def __init__(self, bar: object, task: object) -> None:
        self._bar, self._task = bar, task

    def update(self, done: int, **fields: Field) -> None:
        self._bar.update(self._task, completed=done, fields="  ".join(_shown(fields)))  # type: ignore[attr-defined]


@contextmanager
def _bar(description: str, total: int | None, initial: int, unit: str) -> Iterator[_TerminalBar]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn(unit),
        rich_progress.TextColumn("{task.fields[fields]}"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=_console()) as bar:
        task = bar.add_task(description, total=total, completed=initial, fields="")
        yield _TerminalBar(bar, task)


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(42), duration(128.4), duration(7_380)
    ('42s', '2m08s', '2h03m')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def _count(done: int, total: int | None, unit: str) -> str:
    counted = f"{done:,}" if total is None else f"{done:,}/{total:,}"
    return f"{counted} {unit}".rstrip()


def _shown(fields: dict[str, Field]) -> list[str]:
    return [
        f"{name.replace('_per_second', '/s')} {_figure(value)}" for name, value in fields.items()
    ]


def _figure(value: Field) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


_shared: list[Console] = []
_quiet: list[bool] = []


def _console() -> Console:
    """The one rich console, so that lines appear above a running bar."""
    from rich.console import Console

    if not _shared:
        _shared.append(Console(stderr=True))
    return _shared[0]
