"""Output files put together from pieces that many workers wrote.

Each worker writes one file with a piece for every output file, packed; pieces of one output file
follow each other in it as they are, since gzip members may. So a text is packed once, and no worker
holds more than a piece.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from llm_keras.data.document import write_json_lines
from pipelines import storage
from pipelines.counts import Counts
from pipelines.quiet import beam

#: Bytes copied at once.
CHUNK_BYTES = 2**20
#: What an output file without any piece is: an empty gzip member.
_EMPTY = io.BytesIO()
write_json_lines(_EMPTY, [])


class Piece(NamedTuple):
    """A piece of an output file.

    Args:
        order: Its place among the pieces of its file.
        path: The file that holds it.
        start: Its first byte there.
        size: Its bytes; None: up to the end.
        documents: Rows in it.
    """

    order: tuple[int, int]
    path: str
    start: int
    size: int | None
    documents: int


def write(
    path: str, order: tuple[int, int], rows: Mapping[str, Sequence[dict[str, Any]]]
) -> list[tuple[str, Piece]]:
    """Writes the pieces of one worker, one for each output file that has rows.

    Returns:
        Name of the output file, and the piece.
    """
    pieces, start = [], 0
    with storage.writing(path) as file:
        for name in sorted(rows):
            packed = io.BytesIO()
            count = write_json_lines(packed, rows[name])
            file.write(packed.getvalue())
            size = len(packed.getvalue())
            pieces.append((name, Piece(order, path, start, size, count)))
            start += size
    return pieces


class Gather(beam.PTransform):
    """(name of an output file, piece) -> counts; leaves the output files.

    Args:
        names: Gives every output file: one without pieces is written too. Called by a worker.
        folder: Where they go.
    """

    def __init__(self, names: Callable[[], Sequence[str]], folder: str) -> None:
        super().__init__()
        self.names, self.folder = names, folder

    def expand(self, pieces: Any) -> Any:
        """Groups by output file, then writes each."""
        folder, names = self.folder, self.names
        every = (
            pieces.pipeline
            | "Start" >> beam.Create([None], reshuffle=False)
            | "EveryFile" >> beam.FlatMap(lambda _: [(name, None) for name in names()])
        )
        return (
            (pieces, every)
            | beam.Flatten()
            | beam.GroupByKey()
            | "Write" >> beam.MapTuple(lambda name, found: gather(name, found, folder))
        )


def gather(name: str, pieces: Iterable[Any], folder: str) -> Counts:
    """Writes one output file."""
    digest, size_bytes, documents = hashlib.sha256(), 0, 0
    with storage.writing(storage.join(folder, name)) as file:
        for piece in sorted(Piece(*each) for each in pieces if each is not None):
            documents += piece.documents
            for chunk in _chunks(piece):
                digest.update(chunk)
                file.write(chunk)
                size_bytes += len(chunk)
        if not size_bytes:
            file.write(_EMPTY.getvalue())
            digest.update(_EMPTY.getvalue())
            size_bytes = len(_EMPTY.getvalue())
    facts = {"bytes": size_bytes, "sha256": digest.hexdigest(), "documents": documents}
    return {"files": {name: facts}}


def _chunks(piece: Piece) -> Iterable[bytes]:
    left = piece.size
    with storage.open_to_read(piece.path) as file:
        file.seek(piece.start)
        while left is None or left > 0:
            chunk = file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk
