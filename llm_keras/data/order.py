"""Which row comes when: a permutation of all rows for each epoch, without a shuffle buffer.

Sample i of training is row `permutation[seed, i // num_rows](i % num_rows)`. The permutation is a
Feistel network: computed for any i in constant time and without memory, so that a seek costs the
same at step 10 and at step 10 million.

References:
    Black and Rogaway 2002, "Ciphers with arbitrary finite domains", generalised Feistel cipher
    and cycle walking.
    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators": the mixing
    function.
"""

from __future__ import annotations

import math

import numpy as np

ROUNDS = 8


def row_at(sample_index: np.ndarray | int, num_rows: int, seed: int) -> np.ndarray:
    """The row that each sample reads.

    Args:
        sample_index: int64 of any shape, at least 0: step * global_batch_size + place in batch.
        num_rows: Rows of the corpus, at least 1.
        seed: Another seed gives another order.

    Returns:
        int64 of the same shape, in [0, num_rows). Each epoch of num_rows samples has every row
        exactly once, in an order of its own.

    >>> sorted(row_at(np.arange(5), num_rows=5, seed=0).tolist())
    [0, 1, 2, 3, 4]
    """
    samples = np.atleast_1d(np.asarray(sample_index, np.int64))  # scalars would warn of the wrap
    epoch, index = np.divmod(samples, num_rows)
    key = _mix(_mix(np.array([seed], np.uint64)) + epoch.astype(np.uint64))
    # The network permutes a grid [columns, rows] that is barely larger than num_rows; from a cell
    # beyond the end it is applied again, which stays a permutation of the cells before the end.
    columns = math.isqrt(num_rows - 1) + 1
    rows = -(-num_rows // columns)
    result = _feistel(index.astype(np.uint64), key, columns, rows)
    while (outside := result >= num_rows).any():
        result = np.where(outside, _feistel(result, key, columns, rows), result)
    return result.astype(np.int64).reshape(np.shape(sample_index))


def _feistel(index: np.ndarray, key: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """A keyed permutation of [0, columns * rows); each round adds to one half a hash of the other.

    Addition modulo the size of the half can be undone, whatever the hash: so can each round.
    """
    column, row = np.divmod(index, np.uint64(rows))
    for number in range(0, ROUNDS, 2):
        column = (column + _hash(key, row, number) % np.uint64(columns)) % np.uint64(columns)
        row = (row + _hash(key, column, number + 1) % np.uint64(rows)) % np.uint64(rows)
    return column * np.uint64(rows) + row


def _hash(key: np.ndarray, half: np.ndarray, number: int) -> np.ndarray:
    return _mix(key + half * np.uint64(ROUNDS) + np.uint64(number))


def _mix(value: np.ndarray) -> np.ndarray:
    """SplitMix64: every bit of the result depends on every bit of `value`; wraps at 2**64."""
    x = value + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
