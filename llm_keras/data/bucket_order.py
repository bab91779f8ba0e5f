"""Which bucket and which rows come when, for rows of several lengths: a function of (seed, step).

A bucket of n rows in batches of B gives n / B batches an epoch, which is seldom whole. Its batch
number k has the samples k * B to k * B + B of an endless order of its own (`order.row_at`), where
every n samples have each row once. By the end of epoch e there have been ceil(e * n / B) batches: a
batch that would be short is made whole by the first rows of the next epoch, and no row is lost.

The batches of an epoch, of all buckets, are permuted. Where an epoch begins is a sum over the
buckets, so that the epoch of a step is found by bisection: step 10 million costs what step 10 does.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llm_keras.data import order
from llm_keras.data.records import Bucket


class Batch(NamedTuple):
    """The rows of one step.

    Args:
        bucket: They are all in it.
        rows: int64 [B]: numbers of the split's rows.
    """

    bucket: Bucket
    rows: np.ndarray


class BucketOrder:
    """The batches of training, by step.

    Args:
        buckets: The rows by length.
        batch_tokens: Tokens a step: B times the bucket's length is about that.
        seed: Another seed gives another order.
        multiple_of: B is a multiple of it.

    Attributes:
        sizes: B of each bucket that has rows.
    """

    def __init__(
        self, buckets: Sequence[Bucket], batch_tokens: int, seed: int, multiple_of: int = 1
    ) -> None:
        self.buckets = [bucket for bucket in buckets if bucket.num_rows]
        self.sizes = [batch_rows(batch_tokens, each.length, multiple_of) for each in self.buckets]
        self.seed = seed

    def batch(self, step: int) -> Batch:
        """The batch of a step.

        >>> one_bucket = [Bucket(length=8, first=0, num_rows=4)]
        >>> steps = BucketOrder(one_bucket, batch_tokens=16, seed=0)
        >>> sorted(steps.batch(0).rows.tolist() + steps.batch(1).rows.tolist())
        [0, 1, 2, 3]
        """
        epoch = self._epoch(step)
        before, after = self._batches_before(epoch), self._batches_before(epoch + 1)
        counts = [b - a for a, b in zip(before, after, strict=True)]
        place = step - sum(before)
        chosen = int(order.row_at(epoch * sum(counts) + place, sum(counts), self._seed(0)))
        for bucket, size, first, count in zip(
            self.buckets, self.sizes, before, counts, strict=True
        ):
            if chosen < count:
                samples = np.int64((first + chosen) * size) + np.arange(size)
                rows = order.row_at(samples, bucket.num_rows, self._seed(bucket.length))
                return Batch(bucket, rows + bucket.first)
            chosen -= count
        raise AssertionError("the permutation left the epoch")

    def _batches_before(self, epoch: int) -> list[int]:
        """Batches of each bucket in all epochs before this one."""
        return [
            -(-epoch * bucket.num_rows // size)
            for bucket, size in zip(self.buckets, self.sizes, strict=True)
        ]

    def _epoch(self, step: int) -> int:
        """The epoch of a step: the last that begins at it or before."""
        beyond = (step + 1) * self.sizes[0] // self.buckets[0].num_rows + 2
        begins = range(beyond)
        return bisect.bisect_right(begins, step, key=lambda e: sum(self._batches_before(e))) - 1

    def _seed(self, length: int) -> int:
        """A seed for the order within the bucket of a length, and, with 0, for that of batches."""
        return (self.seed << 17 | length) % 2**64


def batch_rows(batch_tokens: int, length: int, multiple_of: int = 1) -> int:
    """The rows of `length` that give about `batch_tokens`: a multiple, at least one of it.

    >>> batch_rows(4096, length=128), batch_rows(4096, length=24, multiple_of=4)
    (32, 172)
    """
    return max(1, round(batch_tokens / length / multiple_of)) * multiple_of
