"""Starts the processes of a run on this machine, watches them and stops them. Needs no TensorFlow.

Workers are processes of `llm-keras train` that find each other by `TF_CONFIG`; on several machines
a cluster manager starts the same, see `instructions`.
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Sequence
from contextlib import ExitStack

from llm_keras import console, processes
from llm_keras.config import Parallelism
from llm_keras.errors import INTERRUPTED, UserError
from llm_keras.parallel import cluster
from llm_keras.parallel.watchdog import LAUNCHER
from llm_keras.training import stopping

#: After these the same would happen again, or it is what somebody wanted.
FINAL = frozenset({0, 2, 3, 4, INTERRUPTED})


def check(settings: Parallelism, workers: int) -> None:
    """Whether so many processes can share the devices of a run.

    Raises:
        UserError: They cannot; says what to change.
    """
    if settings.strategy not in cluster.STRATEGIES:
        raise UserError(
            f"launch: training.parallelism.strategy is {settings.strategy}, which is one process's:"
            f" run `llm-keras train`, or set it to {' or '.join(cluster.STRATEGIES)}"
        )
    if workers < 2:
        raise UserError(f"launch: expected at least 2 workers, got {workers}")
    cluster.share(settings, workers)


def example_hosts(workers: int) -> list[str]:
    """Addresses to put one's own in the place of."""
    return [f"host{index}:2222" for index in range(workers)]


def instructions(hosts: Sequence[str], settings: Parallelism, command: Sequence[str]) -> list[str]:
    """What must be started on each machine, as lines for a shell.

    Args:
        hosts: Addresses, `host:port`, that all machines reach; the first is the chief's.
        settings: How the run is spread.
        command: The same everywhere.

    Raises:
        UserError: An address has no port, or stands there twice.
    """
    for host in hosts:
        name, _, port = host.rpartition(":")
        if not name or not port.isdigit():
            raise UserError(f"--hosts: expected host:port for each worker, got {host!r}")
    if len(set(hosts)) != len(hosts):
        raise UserError("--hosts: two workers have the same address; give each its own port")
    lines = []
    for index, host in enumerate(hosts):
        lines.append(f"# worker {index}, on {host.rpartition(':')[0]}{', the chief' * (not index)}")
        for name, value in cluster.environment(hosts, index, settings.strategy).items():
            lines.append(f"export {name}={shlex.quote(value)}")
        lines += [shlex.join(command), ""]
    return lines[:-1]


def launch(command: Sequence[str], workers: int, settings: Parallelism, restarts: int = 0) -> int:
    """Runs a command as so many workers on this machine, to the end of all.

    Args:
        command: What each process is.
        workers: How many.
        settings: How the run is spread.
        restarts: How often all are started again after a failure that another try may not meet.

    Returns:
        The exit code of the run: of the worker that failed first, 0 if none did.
    """
    with stopping.on_signals() as asked:
        while True:
            with processes.Workers(command, _environments(workers, settings)) as running:
                code = running.watch(asked)
            if code in FINAL or asked.signal or not restarts:
                return code
            restarts -= 1
            console.warn(f"all workers start again; {restarts} restarts are left after this one")


def _environments(workers: int, settings: Parallelism) -> list[dict[str, str]]:
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    share = cluster.share(settings, workers)
    return [
        {
            **os.environ,
            **cluster.environment(addresses, index, settings.strategy),
            "CUDA_VISIBLE_DEVICES": _gpus(index, share),
            LAUNCHER: str(os.getpid()),
        }
        for index in range(workers)
    ]


def _gpus(index: int, share: int) -> str:
    """Which GPUs are a worker's, out of those that the launcher may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(index * share, (index + 1) * share)]
    if allowed is not None:
        names = allowed.split(",")[index * share : (index + 1) * share]
    return ",".join(names)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
