"""Ends a process that waits for others in vain."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from llm_keras.errors import INTERRUPTED, LostWorkerError

#: Who started this process and must outlive it; see `launching`.
LAUNCHER = "LLM_KERAS_LAUNCHER"
SECONDS_BETWEEN_LOOKS = 0.5
#: What a worker keeps waiting until it can save, see `worker.perform`.
STOPS = (signal.SIGTERM, signal.SIGINT)


class Watchdog:
    """A thread that ends the process when nothing happened for too long.

    A process that waits in TensorFlow for another one cannot be told anything, and its ordinary end
    would wait for the other, too. So this thread ends it at once, with the exit code of a
    LostWorkerError. It also passes on the end of the launcher, as SIGTERM, and ends a process that
    is told to stop before it has met the others.

    Args:
        seconds: Longest time between two calls of `beat`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._launcher = os.environ.get(LAUNCHER)
        self._stopped = threading.Event()
        self._beaten = time.monotonic()
        self._met = False
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """All processes were at the same point just now."""
        self._beaten = time.monotonic()
        self._met = True

    def stop(self) -> None:
        """From now on the process may take as long as it likes."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(SECONDS_BETWEEN_LOOKS):
            if not self._met and signal.sigpending() & set(STOPS):
                os._exit(INTERRUPTED)
            if time.monotonic() - self._beaten > self.seconds:
                missing = "other workers" if self._met else "other workers to start"
                sys.stderr.write(
                    f"error: waited {self.seconds:g} s for the {missing}"
                    " (training.parallelism.stall_seconds); giving up\n"
                )
                sys.stderr.flush()
                os._exit(LostWorkerError.exit_code)
            if self._launcher is not None and str(os.getppid()) != self._launcher:
                self._launcher = None
                os.kill(os.getpid(), signal.SIGTERM)
