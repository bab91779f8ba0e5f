"""Documents to rows of constant length and back.

The documents of a shard, each `[bos] + ids + [eos]`, form one stream. Row r holds
`stream[r * T : r * T + T + 1]`: neighbours overlap by one token, because the model predicts token
t + 1 from token t. So every token of a document but its first is predicted exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

Rows = dict[str, np.ndarray]

#: Rows made at once: bounds the memory beside the stream itself.
BLOCK_ROWS = 4096


def count_rows(stream_tokens: int, sequence_length: int) -> int:
    """Rows that a stream is cut into: one for each started T targets.

    >>> count_rows(9, sequence_length=4), count_rows(10, sequence_length=4)
    (2, 3)
    """
    return max(0, -(-(stream_tokens - 1) // sequence_length))


def pack(
    documents: Sequence[np.ndarray], sequence_length: int, given: Sequence[int] | None = None
) -> Iterator[Rows]:
    """Packs documents in their order; yields blocks of rows.

    Args:
        documents: Integer arrays, each `[bos] + ids + [eos]`, so at least two tokens.
        sequence_length: T.
        given: Of each document, the tokens it begins with that are not to be predicted: bos and a
            prompt. None: all but bos are.

    Yields:
        Integer arrays [n, T + 1] by name:
        `tokens`; after the stream's end 0.
        `segments`: 1, 2, 3... for each document in the row; 0 is padding.
        `positions`: from 0 in each segment of the row, also where a document goes on from the row
        before; 0 in padding.
        `answers`, with `given` only: 1 where a token is to be predicted; else 0.
    """
    if not documents:
        return
    stream = np.concatenate(documents)
    lengths = np.array([len(document) for document in documents], np.int64)
    starts = np.cumsum(lengths) - lengths
    for first in range(0, count_rows(len(stream), sequence_length), BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, count_rows(len(stream), sequence_length))
        row_starts = np.arange(first, last, dtype=np.int64)[:, None] * sequence_length
        index = row_starts + np.arange(sequence_length + 1)
        inside = index < len(stream)
        index = np.minimum(index, len(stream) - 1)
        document = np.searchsorted(starts, index, side="right") - 1
        positions = index - np.maximum(starts[document], row_starts)
        rows = {
            "tokens": np.where(inside, stream[index], 0),
            "segments": np.where(inside, document - document[:, :1] + 1, 0),
            "positions": np.where(inside, positions, 0),
        }
        if given is not None:
            answered = index - starts[document] >= np.asarray(given, np.int64)[document]
            rows["answers"] = (inside & answered).astype(np.int64)
        yield rows


def unpack(blocks: Iterable[Rows]) -> Iterator[np.ndarray]:
    """Rebuilds the documents from all rows of a shard, in order: the inverse of `pack`."""
    pieces: list[np.ndarray] = []
    for row, (tokens, segments) in enumerate(_rows(blocks)):
        used = int(np.count_nonzero(segments))
        borders = 1 + np.flatnonzero(np.diff(segments[:used]))
        parts = np.split(tokens[:used], borders)
        if row:
            parts[0] = parts[0][1:]  # the token shared with the row before
        pieces.append(parts[0])
        for part in parts[1:]:
            yield np.concatenate(pieces)
            pieces = [part]
    if pieces:
        yield np.concatenate(pieces)


def _rows(blocks: Iterable[Rows]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for block in blocks:
        yield from zip(block["tokens"], block["segments"], strict=True)
