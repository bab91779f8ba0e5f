"""Step `near` where the edges do not fit into one worker: rounds of stars until nothing changes.

Each round is two pipelines, and its files are where the next one starts: Beam has no loops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from pipelines import components, keys, storage
from pipelines.components import EDGE
from pipelines.quiet import beam
from pipelines.steps.near import edge_file, read_edges

Star = Callable[[keys.Rows], keys.Rows]


class Round(beam.PTransform):
    """Names of edge files -> counts and a checksum; leaves other edges of the same components.

    Args:
        star: What is done at each node.
        source: Folder of the edges.
        target: Folder of the new ones.
        partitions: How many workers share the nodes.
    """

    def __init__(self, star: Star, source: str, target: str, partitions: int) -> None:
        super().__init__()
        self.star, self.source, self.target = star, source, target
        self.partitions = partitions

    def expand(self, names: Any) -> Any:
        """One grouping, by node."""
        star, source, target, partitions = self.star, self.source, self.target, self.partitions
        return (
            names
            | "Cut" >> beam.FlatMap(lambda name: _cut(read_edges(source, [name]), partitions))
            | "ByNode" >> beam.GroupByKey()
            | "Star"
            >> beam.MapTuple(
                lambda partition, pieces: _write(
                    star(components.once(keys.joined(pieces, EDGE))), target, partition
                )
            )
        )


def _cut(table: keys.Rows, partitions: int) -> Iterator[tuple[int, bytes]]:
    table = components.both_ways(table)
    numbers = components.partition(table, partitions)
    for number in range(partitions):
        if (numbers == number).any():
            yield number, table[numbers == number].tobytes()


def _write(table: keys.Rows, folder: str, partition: int) -> dict[str, Any]:
    if not len(table):
        return {}
    name = f"node-{partition:06d}"
    storage.write(edge_file(folder, name), table.tobytes())
    return {"edges": {name: len(table)}, "checksum": checksum(table)}


def checksum(table: keys.Rows) -> int:
    """A sum over edges: equal for equal sets of them, however they are cut."""
    return sum(
        int.from_bytes(hashlib.blake2b(edge.tobytes(), digest_size=7).digest(), "big")
        for edge in table
    )
