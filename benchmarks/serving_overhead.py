"""What HTTP and JSON add to a call of the model, in the embedded server.

    python benchmarks/serving_overhead.py

The model does next to nothing (y = x / 2 + 2), so that what is left is the way to it. Client and
server share one process, so the time is more than a client elsewhere sees the server take.
"""

from __future__ import annotations

import http.client
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from serving.conformance import reference_model
from serving.conformance.cases import NAME
from serving.models.saved_model import SavedModel
from serving.server import start_in_background

REPETITIONS = 500


def milliseconds(call: Callable[[], object]) -> str:
    """Best, median and 95th percentile of many calls."""
    for _ in range(20):
        call()
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    figures = (min(times), statistics.median(times), statistics.quantiles(times, n=20)[-1])
    return " ".join(f"{figure:8.2f}" for figure in figures)


def post(connection: http.client.HTTPConnection, body: str) -> bytes:
    """One request on an open connection."""
    connection.request("POST", f"/v1/models/{NAME}:predict", body)
    return connection.getresponse().read()


def main() -> None:
    """Prints the table."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("tensorflow", "starlette", "uvicorn")
    )
    print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {packages}")
    print(f"{'milliseconds':40} {'best':>8} {'median':>8} {'95 %':>8}")
    with tempfile.TemporaryDirectory() as folder:
        exported = reference_model.write(Path(folder))
        model = SavedModel(exported, timeout_seconds=60)
        for size in (1, 1_000):
            values = np.linspace(0, 1, size, dtype=np.float32)
            body = json.dumps({"instances": values.tolist()})
            signature = model.signatures["serving_default"]
            print(f"{f'direct call, {size} floats':40}", end=" ")
            print(milliseconds(lambda: model.run(signature, {"x": values})))  # noqa: B023
            with start_in_background(Path(folder), NAME) as url:
                connection = http.client.HTTPConnection(urlsplit(url).netloc)
                print(f"{f'REST, {size} floats, {len(body)} B':40}", end=" ")
                print(milliseconds(lambda: post(connection, body)))  # noqa: B023
                connection.close()
        model.close()


if __name__ == "__main__":
    main()
