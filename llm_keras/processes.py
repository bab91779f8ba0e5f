"""Processes that live and die together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Self

from llm_keras import console
from llm_keras.errors import INTERRUPTED, InterruptedRunError, LostWorkerError
from llm_keras.training.stopping import StopRequest

#: Seconds that the others have, once one has failed, to notice, save and end by themselves; and
#: those who are left when the chief, who alone saves, has ended.
GRACE_SECONDS, CHIEFLESS_SECONDS = 30.0, 5.0
SECONDS_BETWEEN_LOOKS = 0.1
#: How notes of TensorFlow's begin that it cannot be told to leave out.
OF_TENSORFLOW = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")


@dataclass
class Worker:
    """A process.

    Attributes:
        index: Its number; 0 is the chief.
        process: What runs.
    """

    index: int
    process: subprocess.Popen[str]

    def describe(self) -> str:
        """How it ended."""
        code = self.process.returncode
        if code < 0:
            return f"worker {self.index} was ended by {signal.Signals(-code).name}"
        return f"worker {self.index} ended with exit code {code}"


class Workers:
    """Processes that live and die together.

    The chief has the terminal. What the others say, which is warnings and errors, comes with their
    number before it. None has the terminal's Ctrl-C, so that it comes to each once, from here.

    Args:
        command: What each process is.
        environments: The environment of each.
    """

    def __init__(self, command: Sequence[str], environments: Sequence[Mapping[str, str]]) -> None:
        self._workers: list[Worker] = []
        self._readers: list[threading.Thread] = []
        with ExitStack() as undo:
            undo.callback(self._kill)
            for index, environment in enumerate(environments):
                self._start(index, command, environment)
            undo.pop_all()

    def _start(self, index: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        output = subprocess.PIPE if index else None
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if index else None,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._workers.append(Worker(index, process))
        if process.stdout is not None:
            reader = threading.Thread(target=_pass_on, args=(index, process.stdout), daemon=True)
            reader.start()
            self._readers.append(reader)

    def watch(self, asked: StopRequest) -> int:
        """Waits until all have ended; the exit code of the run.

        Args:
            asked: Whose signal is passed on.
        """
        passed_on, deadline, failed = False, float("inf"), []
        left = list(self._workers)
        while left:
            ended = [worker for worker in left if worker.process.poll() is not None]
            left = [worker for worker in left if worker not in ended]
            for worker in ended:
                if worker.process.returncode == 0:
                    continue
                failed.append(worker)
                if worker.process.returncode != InterruptedRunError.exit_code:
                    console.warn(worker.describe())
                    with_chief = any(other.index == 0 for other in left)
                    grace = GRACE_SECONDS if with_chief else CHIEFLESS_SECONDS
                    deadline = min(deadline, time.monotonic() + grace)
            if asked.signal is not None and not passed_on:
                passed_on = True
                for worker in left:
                    worker.process.send_signal(signal.Signals[asked.signal])
            if left and time.monotonic() > deadline:
                numbers = ", ".join(str(worker.index) for worker in left)
                console.warn(f"worker {numbers} does not end: killed")
                self._kill()
                deadline = float("inf")
            time.sleep(SECONDS_BETWEEN_LOOKS if left else 0)
        return verdict([worker.process.returncode for worker in failed], passed_on)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        for worker in self._workers:
            worker.process.wait()
        for reader in self._readers:
            reader.join()

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()  # SIGKILL, which ends a stopped process too


def verdict(codes: Sequence[int], interrupted: bool) -> int:
    """The exit code of a run from those of the workers that failed, the first one first.

    A worker that lost another one is a consequence, not the cause. One that a signal ended is lost
    itself, unless the signal was asked for.
    """
    consequences = (LostWorkerError.exit_code, InterruptedRunError.exit_code)
    causes = [code for code in codes if code not in consequences]
    code = causes[0] if causes else max(codes, default=0)
    if code >= 0:
        return code
    return INTERRUPTED if interrupted else LostWorkerError.exit_code


def _pass_on(index: int, output: IO[str]) -> None:
    with output:
        for line in output:
            if not line.startswith(OF_TENSORFLOW):
                sys.stderr.write(f"worker {index}: {line}")
                sys.stderr.flush()
