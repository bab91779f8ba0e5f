"""Stopping on request: between two steps, with the work saved, all processes of a run at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether somebody asked the processes of a run to stop, as of the last `agree`.

    Args:
        any_process: Whether any process says so; see `Engine.any_process`.

    Attributes:
        signal: The name of the signal that came to this process, or None.
    """

    def __init__(self, any_process: Callable[[bool], bool] = bool) -> None:
        self.signal: str | None = None
        self._any_process = any_process
        self._agreed = False

    def agree(self) -> bool:
        """Asks all processes, which must do so at the same point."""
        self._agreed = self._agreed or self._any_process(self.signal is not None)
        return self._agreed

    def __bool__(self) -> bool:
        return self._agreed

    def __str__(self) -> str:
        return self.signal or "another worker was told to stop"


@contextmanager
def on_signals(any_process: Callable[[bool], bool] = bool) -> Iterator[StopRequest]:
    """Turns the first SIGTERM or Ctrl-C into a request; a second one ends the process as usual.

    To be entered after TensorFlow's devices exist: it would replace the handlers by its own. In
    another thread than the main one, where Python allows no handlers, nobody is listened to.

    Args:
        any_process: See `StopRequest`.
    """
    request = StopRequest(any_process)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    def handle(number: int, _frame: FrameType | None) -> None:
        request.signal = signal.Signals(number).name
        restore()

    for number in SIGNALS:
        signal.signal(number, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # what an engine may have made wait
    try:
        yield request
    finally:
        restore()
