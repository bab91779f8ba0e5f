"""Steps one after the other, each a pipeline; one that is finished is not done again.

A finished step leaves `_SUCCESS` in its folder: a fingerprint of its settings and of all before it,
and its counts. A run that was killed goes on with the first step that has none, on every runner.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.counts import Counts, merge
from pipelines.options import OnlyBuiltError, run_pipeline
from pipelines.quiet import beam

SUCCESS = "_SUCCESS"
#: Elements in a file: they are read by workers, since a job's description has no room for millions.
CHUNK = 1000
CODER = beam.coders.FastPrimitivesCoder()


class Steps:
    """The steps of one curation.

    Args:
        folder: Where each has a folder of its own.
        inputs: A fingerprint of what the first one reads.
        workers: Local worker processes.
        arguments: Beam's own.
        worker_log: Takes what local workers print.
    """

    def __init__(
        self, folder: str, inputs: Any, workers: int, arguments: Sequence[str], worker_log: Path
    ) -> None:
        self.folder, self.workers, self.arguments = folder, workers, arguments
        self.worker_log = worker_log
        self._fingerprint = _digest(inputs)
        self.counts: list[Counts] = []

    def perform(self, name: str, settings: Any, elements: Iterable[Any], transform: Any) -> Counts:
        """Applies a transform to elements in a pipeline of its own, if that was not done before.

        Args:
            name: Of the step and its folder.
            settings: What decides its result, beside all before.
            elements: What it works on.
            transform: `elements -> counts`; leaves files in the step's folder.

        Returns:
            The counts together.
        """
        self._fingerprint = _digest([self._fingerprint, name, settings])
        success = storage.join(self.folder, name, SUCCESS)
        counts = self._finished(success)
        if counts is None:
            folder = storage.join(self.folder, name)
            storage.remove_tree(folder)
            try:
                counts = self._run(folder, list(elements), transform)
            except OnlyBuiltError:
                storage.remove_tree(folder)
                raise
            content = {"fingerprint": self._fingerprint, "counts": counts}
            storage.write(success, json.dumps(content).encode())
        self.counts.append(counts)
        return counts

    def _finished(self, success: str) -> Counts | None:
        if not storage.exists(success):
            return None
        content = json.loads(storage.read(success))
        same = content["fingerprint"] == self._fingerprint
        return dict(content["counts"]) if same else None

    def _run(self, folder: str, elements: list[Any], transform: Any) -> Counts:
        path = storage.join(folder, "counts.json")
        for number, start in enumerate(range(0, len(elements), CHUNK)):
            chunk = CODER.encode(elements[start : start + CHUNK])
            storage.write(_chunk(folder, number), chunk)
        with run_pipeline(self.workers, self.arguments, self.worker_log) as pipeline:
            _ = (
                pipeline
                | "Chunks" >> beam.Create(range(-(-len(elements) // CHUNK)), reshuffle=False)
                | "Elements" >> beam.FlatMap(_elements, folder)
                | "Spread" >> beam.Reshuffle()
                | "Step" >> transform
                | "Together" >> beam.Map(lambda counts: (None, counts))
                | "Add" >> beam.CombinePerKey(merge)
                | "WriteCounts"
                >> beam.MapTuple(lambda _, counts: storage.write(path, json.dumps(counts).encode()))
            )
        return dict(json.loads(storage.read(path))) if storage.exists(path) else {}

    def total(self) -> Counts:
        """The counts of all steps together."""
        return merge(self.counts)


def _chunk(folder: str, number: int) -> str:
    return storage.join(folder, f"elements-{number:06d}")


def _elements(number: int, folder: str) -> list[Any]:
    return list(CODER.decode(storage.read(_chunk(folder, number))))


def _digest(content: Any) -> str:
    packed = json.dumps(content, sort_keys=True, default=str).encode()
    return hashlib.sha256(packed).hexdigest()
