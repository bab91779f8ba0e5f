"""Work that goes on beside training: one piece at a time, and no failure is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from llm_keras import console
from llm_keras.errors import LLMKerasError


class BackgroundWriter:
    """Runs one function at a time in a thread of its own.

    What a function raises comes out of the next call of any method. Leaving the context waits for
    the function under way; if that is because of another error, a failure becomes a warning.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a function is under way."""
        return self._pending is not None and not self._pending.done()

    def start(self, write: Callable[[], None]) -> None:
        """Starts `write`, after the one before it has ended."""
        self.wait()
        self._pending = self._pool.submit(write)

    def check(self) -> None:
        """Raises what a function that has ended raised; does not wait."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the function under way, and raises what it raised."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.wait()
        except LLMKerasError as failure:
            if error is None:
                raise
            console.warn(str(failure))
        finally:
            self._pool.shutdown()
