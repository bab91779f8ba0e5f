"""Times several programs turn by turn, so that a machine that slows down slows all of them.

Each contender is a process of its own that prints `READY`, then performs its work once for every
line it reads and answers with one JSON value. `serve` is the contender's side, `measure` the other.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def serve(work: Callable[[], float]) -> None:
    """Contender's side: one measurement of `work` a line read; ends with the input."""
    print("READY", flush=True)
    for _ in sys.stdin:
        print(json.dumps(work()), flush=True)


def measure(contenders: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Starts every contender, then lets each measure once a round.

    Args:
        contenders: Name to command line.
        rounds: Measurements of each.

    Returns:
        Name to its measurements; a contender that failed to start is left out with a message.
    """
    processes: dict[str, subprocess.Popen[str]] = {}
    for name, command in contenders.items():
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if _next(process, "READY") is None:
            print(f"{name}: did not start, left out")
        else:
            processes[name] = process
    results: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(rounds):
        for name, process in processes.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            results[name].append(float(json.loads(_next(process) or "null")))
    for process in processes.values():
        process.communicate()
    return results


def _next(process: subprocess.Popen[str], wanted: str | None = None) -> str | None:
    """The next line of JSON, or the first that equals `wanted`; None at the end."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == wanted or (wanted is None and _is_json(line)):
            return line
    return None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True


def table(results: Mapping[str, Sequence[float]], peer: str, unit: str) -> list[str]:
    """A Markdown table: median, spread, and the median of the round-by-round ratios to `peer`."""
    lines = [f"| | median {unit} | min - max | x {peer} |", "|---|---|---|---|"]
    for name, values in results.items():
        ratios = [a / b for a, b in zip(values, results[peer], strict=True)]
        lines.append(
            f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f} - {max(values):,.0f}"
            f" | {statistics.median(ratios):.2f} |"
        )
    return lines


def versions(*packages: str) -> str:
    """The machine, the date and the packages' versions, for the line above a table."""
    import datetime
    import importlib.metadata
    import os
    import platform

    named = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    processor = platform.processor() or platform.machine()
    for line in _cpuinfo():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    today = datetime.datetime.now(tz=datetime.UTC).date()
    machine = f"{os.cpu_count()} cores of {processor}"
    return f"{today}, {machine}, Python {platform.python_version()}, {named}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
