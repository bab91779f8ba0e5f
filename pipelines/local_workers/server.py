"""Forks local workers off a process that has imported what they need: `server SOCKET`.

It has one thread, as a process that forks must, and ends when its standard input does: whoever
started it is gone then, and its workers are to go too.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from typing import NoReturn

from pipelines import curation_steps, encode  # noqa: F401 - what workers will ask for
from pipelines.quiet import beam  # noqa: F401

from apache_beam.runners.worker import sdk_worker_main  # isort: skip


class Server:
    """Forks a worker for each who connects, and tells them how it ended.

    Args:
        listener: Where they connect.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.waiting: dict[int, socket.socket] = {}  # worker -> who asked for it

    def serve(self, until: int) -> None:
        """Serves until a file is at its end.

        Args:
            until: The file's descriptor.
        """
        woken, wakes = socket.socketpair()
        for each in (woken, wakes):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only wakes
        signal.set_wakeup_fd(wakes.fileno())
        with selectors.DefaultSelector() as selector:
            for file in (until, self.listener, woken):
                selector.register(file, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if until in ready:
                    break
                if woken in ready:
                    woken.recv(4096)
                    self._tell()
                if self.listener in ready:
                    self._fork()
        for worker in self.waiting:
            os.kill(worker, signal.SIGTERM)

    def _fork(self) -> None:
        connection, _ = self.listener.accept()
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 2)
        with connection.makefile("rb") as file:
            asked = json.loads(file.read().decode("utf-8", "surrogatepass"))
        worker = os.fork()
        if worker == 0:
            _work(asked["folder"], asked["environment"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.waiting[worker] = connection

    def _tell(self) -> None:
        """Tells how workers ended to who waits for them."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                worker, status = ended
                code = os.waitstatus_to_exitcode(status)
                with self.waiting.pop(worker) as connection, contextlib.suppress(OSError):
                    connection.sendall(b"%d" % (code if code >= 0 else 128 - code))


def _work(folder: str, environment: dict[str, str], output: list[int]) -> NoReturn:
    """Is a worker, in a process that was just forked."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor, place in zip(output, (1, 2), strict=True):
            os.dup2(descriptor, place)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sdk_worker_main.main([])
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main(address: str) -> None:
    """Serves at an address until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    folder, name = os.path.split(address)
    os.chdir(folder)  # the whole path may be longer than an address of a socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(64)
        gc.freeze()  # a collection in a worker would copy what all share
        os.write(1, b"ready\n")
        Server(listener).serve(until=0)


if __name__ == "__main__":
    main(sys.argv[1])
