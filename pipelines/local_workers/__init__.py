"""Local worker processes that start at once.

A worker of Beam's local runner is a process that first imports Beam and all that the steps need,
two seconds of a processor, and every step of a curation starts its workers anew. Here one process
has imported everything before (`server.py`) and forks a worker for each that Beam starts
(`client.py`, in the worker's place). What workers import is in memory once.
"""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from llm_keras.errors import LLMKerasError

#: A process that forks must have no threads of its own, which libraries would start on import:
#: OpenBLAS for matrix products and Arrow for its memory.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_CLIENT = Path(__file__).with_name("client.py")


def command(log: Path) -> str:
    """A shell command that is a worker of the local runner.

    Args:
        log: Takes what the worker prints.
    """
    client = [sys.executable, "-I", "-S", str(_CLIENT), _server(os.getpid()).address()]
    return f"exec {shlex.join(client)} >>{shlex.quote(str(log))} 2>&1"


class _Server:
    """The process that forks workers; it ends with this one."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="llm-keras-"))  # nobody else may enter it
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self._end)

    def address(self) -> str:
        """Where it listens; it is started if it does not."""
        socket = self._folder / "socket"
        if self._process is None or self._process.poll() is not None:
            self._stop()
            socket.unlink(missing_ok=True)
            self._process = self._started(socket)
        return str(socket)

    def _started(self, socket: Path) -> subprocess.Popen[bytes]:
        said = self._folder / "said"
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.local_workers.server", str(socket)],
                stdin=subprocess.PIPE,  # it ends where this does
                stdout=subprocess.PIPE,
                stderr=file,
                env=os.environ | _ONE_THREAD,
            )
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            with process:
                last = said.read_text("utf-8", "replace").strip().rpartition("\n")[2]
            raise LLMKerasError(f"local workers cannot be started: {last}")
        return process

    def _stop(self) -> None:
        if self._process is not None:
            with self._process:  # closes its input, and waits
                pass

    def _end(self) -> None:
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def _server(_process: int) -> _Server:
    """The server of this process; one that was forked off has a server of its own."""
    return _Server()
