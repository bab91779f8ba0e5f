"""Pairs of a text and its translation as rows of a few lengths, each filled up to its own.

A pair is `ids + [eos]`, what an encoder reads, and `[bos] + ids + [eos]`, what a decoder is given
and predicts one token further on. It goes into the bucket with the least length that holds both,
so that little of a row is filling, and all rows of a bucket have one size.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from llm_keras.data.packing import Rows

#: Lengths of buckets where the run file names none: the first, the growth, what they divide by.
FIRST, GROWTH, STEP = 16, 1.5, 8


def bucket_lengths(sequence_length: int) -> tuple[int, ...]:
    """Lengths that rise by half, in steps of eight, to `sequence_length`.

    A pair that falls anywhere between two of them fills its row by five sixths on average.

    >>> bucket_lengths(128)
    (16, 24, 40, 64, 96, 128)
    """
    lengths: list[int] = []
    length = FIRST
    while length < sequence_length:
        lengths.append(length)
        length = -(-int(length * GROWTH) // STEP) * STEP
    return (*lengths, sequence_length)


def bucket_of(source_tokens: int, target_tokens: int, lengths: Sequence[int]) -> int | None:
    """The length of the bucket that a pair goes into; None if it fits none.

    Args:
        source_tokens: With eos.
        target_tokens: With bos and eos: a row holds one more than its length.
        lengths: Of the buckets, rising.

    >>> bucket_of(10, 17, (16, 24)), bucket_of(10, 18, (16, 24)), bucket_of(25, 2, (16, 24))
    (16, 24, None)
    """
    place = bisect.bisect_left(lengths, max(source_tokens, target_tokens - 1))
    return lengths[place] if place < len(lengths) else None


def fill(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], length: int) -> Rows:
    """Makes the rows of one bucket, filled up with 0.

    Args:
        sources: Of each pair the ids with eos: at most `length`.
        targets: Of each pair the ids with bos and eos: at most `length` + 1.
        length: S and T of the bucket.

    Returns:
        Integer arrays by name: `lengths` [n, 2], of source and target; `source` [n, S];
        `tokens` [n, T + 1].
    """
    rows = {
        "lengths": np.array([[len(a), len(b)] for a, b in zip(sources, targets, strict=True)]),
        "source": np.zeros((len(sources), length), np.int64),
        "tokens": np.zeros((len(sources), length + 1), np.int64),
    }
    for name, side in (("source", sources), ("tokens", targets)):
        for row, ids in zip(rows[name], side, strict=True):
            row[: len(ids)] = ids
    rows["lengths"] = rows["lengths"].reshape(-1, 2)  # also of no pairs
    return rows


def with_segments(rows: Rows) -> Rows:
    """The rows as a model takes them: `source_segments` and `segments` in place of `lengths`.

    Both are int32, 1 where there is a token and 0 in the filling.
    """
    lengths, source, tokens = rows["lengths"], rows["source"], rows["tokens"]
    return {
        "source": source,
        "source_segments": _real(lengths[:, :1], source.shape[1]),
        "tokens": tokens,
        "segments": _real(lengths[:, 1:], tokens.shape[1]),
    }


def _real(lengths: np.ndarray, width: int) -> np.ndarray:
    return (np.arange(width) < lengths).astype(np.int32)
