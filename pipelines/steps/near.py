r"""Steps `bands` and `near`: of nearly equal documents one stays.

    part -> signatures -> digests of bands -> by digest: a star \
                                              stars within the part -> edges, in files   (`bands`)
    edges -> components -> the least of each stays -> by block of parts: which rows go   (`near`)

Documents in one bucket become a star: the least is its hub, each of the others an edge to it.
Within a part that is done at once, so a bucket that holds a tenth of the corpus receives one row a
part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from llm_keras import config
from llm_keras.data import minhash
from pipelines import components, keys, parts, removals, storage
from pipelines.components import EDGE
from pipelines.quiet import beam
from pipelines.steps import unique
from pipelines.workplace import Workplace

BANDS, NEAR = "bands", "near"


class FindEdges(beam.PTransform):
    """Numbers of parts -> counts; leaves files of edges, one for each partition and each part.

    Args:
        place: Where the parts are.
        settings: Shingles and bands.
        partitions: How many workers may compare at once.
    """

    def __init__(self, place: Workplace, settings: config.Near, partitions: int) -> None:
        super().__init__()
        self.place, self.settings, self.partitions = place, settings, partitions

    def expand(self, numbers: Any) -> Any:
        """One grouping, of digests."""
        place = self.place
        found = numbers | "Digests" >> beam.ParDo(
            _DigestsOfPart(place, self.settings, self.partitions)
        ).with_outputs("counts", main="digests")
        every = [found.digests]
        if place.indices:
            remembered = numbers.pipeline | "Remembered" >> beam.Create(place.indices)
            every.append(
                remembered | "Recall" >> beam.ParDo(unique.Recall(place, self.partitions, BANDS))
            )
        written = (
            every
            | "AllDigests" >> beam.Flatten()
            | "ByDigest" >> beam.GroupByKey()
            | "Stars"
            >> beam.MapTuple(
                lambda partition, pieces: _write_edges(
                    place, f"bucket-{partition:06d}", stars(keys.sort(keys.gathered(pieces)))
                )
            )
        )
        return (found.counts, written) | "Counts" >> beam.Flatten()


class _DigestsOfPart(beam.DoFn):
    def __init__(self, place: Workplace, settings: config.Near, partitions: int) -> None:
        self.place, self.settings, self.partitions = place, settings, partitions

    def process(self, part: int) -> Iterator[Any]:
        table, signatures, left = digests_of(self.place, part, self.settings)
        storage.write(signature_file(self.place, part), signatures.tobytes())
        table = keys.sort(table)
        first = keys.first_of_each(table)
        stays = first == np.arange(len(table))
        spilled = storage.join(self.place.of(BANDS), f"keys-{part:08d}.rows")
        yield from keys.spill(spilled, table[stays], self.partitions)
        counts = _write_edges(self.place, f"part-{part:08d}", stars(table))
        step = {"steps": {NEAR: {"in": left}}}
        yield beam.pvalue.TaggedOutput("counts", counts)
        yield beam.pvalue.TaggedOutput("counts", step)


def digests_of(
    place: Workplace, part: int, settings: config.Near
) -> tuple[keys.Rows, keys.Rows, int]:
    """The digests of all bands of a part's documents as keys, all signatures, and documents left.

    A signature is kept for each row of the part, zeros where the document is gone, so that a row
    can be read alone.
    """
    found = parts.columns(place.part(part), "id", "text", "target", "source")
    ids, sources = found["id"].to_pylist(), found["source"].to_pylist()
    left = np.array(place.left(part, len(ids)), np.int64)
    texts, targets = (found[name].take(left).to_pylist() for name in ("text", "target"))
    chosen = [
        text if target is None else f"{text}\n{target}"
        for text, target in zip(texts, targets, strict=True)
    ]
    signatures = minhash.signatures(chosen, settings)
    digests = minhash.band_digests(signatures, settings)
    ranks = unique.ranks([sources[row] for row in left], place)
    names, rows = [ids[row] for row in left], left.astype(np.uint32)
    one = keys.build(digests[:, 0], names, ranks, place.source_numbers, part, rows)
    every = np.zeros((len(ids), signatures.shape[1]), np.uint64)
    every[left] = signatures
    return banded(digests, one), every, len(left)


def band_digests(texts: Sequence[str], settings: config.Near) -> keys.Rows:
    """The digests of all bands of some texts, [n, bands, 16]."""
    return minhash.band_digests(minhash.signatures(texts, settings), settings)


def banded(digests: keys.Rows, one: keys.Rows) -> keys.Rows:
    """A row for each band of each document.

    Args:
        digests: [n, bands, 16].
        one: A row for each document; its key does not matter.
    """
    bands = digests.shape[1]
    table = np.repeat(one, bands).reshape(-1, bands)
    for band in range(bands):
        table["key0"][:, band], table["key1"][:, band] = keys.halves(digests[:, band])
    return table.reshape(-1)


def signature_file(place: Workplace, part: int) -> str:
    """Where the signatures of a part lie."""
    return storage.join(place.of(BANDS), f"signatures-{part:08d}.u64")


def signature(place: Workplace, part: int, row: int, settings: config.Near) -> Any:
    """The signature of one document."""
    size = settings.bands * settings.rows * 8
    return np.frombuffer(storage.read(signature_file(place, part), row * size, size), np.uint64)


def stars(table: keys.Rows) -> keys.Rows:
    """Edges from the first row of each key of a sorted table to its others, each once."""
    first = keys.first_of_each(table)
    others = np.flatnonzero(first != np.arange(len(table)))
    return components.edges(table[first[others]], table[others])


def _write_edges(place: Workplace, name: str, edges: keys.Rows) -> dict[str, Any]:
    if len(edges):
        storage.write(edge_file(place.of(BANDS), name), edges.tobytes())
    return {"edges": {name: len(edges)}} if len(edges) else {}


def edge_file(folder: str, name: str) -> str:
    """The file of some edges."""
    return storage.join(folder, f"edges-{name}.npy")


def read_edges(folder: str, names: Sequence[str]) -> keys.Rows:
    """The edges of some files."""
    return keys.joined((storage.read(edge_file(folder, name)) for name in names), EDGE)


class RemoveNear(beam.PTransform):
    """[names of edge files] -> counts; leaves the files of `removals` and the ledger.

    Args:
        place: Where the edges are.
        folder: Of the edges: that of `bands`, or of the last round.
        settings: Of the signatures, for the ledger.
    """

    def __init__(self, place: Workplace, folder: str, settings: config.Near) -> None:
        super().__init__()
        self.place, self.folder, self.settings = place, folder, settings

    def expand(self, lists: Any) -> Any:
        """The components in one worker, then the removals by block."""
        place, folder, settings = self.place, self.folder, self.settings
        return (
            lists
            | "Components" >> beam.FlatMap(lambda names: _least(read_edges(folder, names)))
            | "ByBlock" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(lambda block, pieces: _write(block, pieces, place, settings))
        )


def _least(edges: keys.Rows) -> Iterator[tuple[int, bytes]]:
    rows, kept = components.least_of_components(edges)
    here = rows["part"] != keys.ELSEWHERE
    table = np.zeros(int(here.sum()), EDGE)
    for name in components.NODE.names or ():
        table["to"][name], table["hub"][name] = rows[here][name], kept[here][name]
    yield from unique.cut(table, table["to"]["part"])


def _write(block: int, pieces: Any, place: Workplace, settings: config.Near) -> dict[str, Any]:
    table = keys.joined(pieces, EDGE)
    table = table[np.lexsort([table["to"]["row"], table["to"]["part"]])]
    kept = [keys.id_text(each, place.sources) for each in table["hub"]]
    removals.write(
        place.of(NEAR),
        block,
        [(int(to["part"]), int(to["row"]), one) for to, one in zip(table["to"], kept, strict=True)],
    )
    removals.write_ledger(
        place.of(NEAR),
        block,
        [keys.id_text(each, place.sources) for each in table["to"]],
        kept,
        [_similarity(each, place, settings) for each in table],
    )
    return {"steps": {NEAR: {"dropped": len(table)}}}


def _similarity(edge: Any, place: Workplace, settings: config.Near) -> float | None:
    """The estimated similarity of two documents; None where one is of an earlier run."""
    if edge["hub"]["part"] == keys.ELSEWHERE:
        return None
    one, other = (
        signature(place, int(edge[side]["part"]), int(edge[side]["row"]), settings)
        for side in ("hub", "to")
    )
    return float(np.mean(one == other))
