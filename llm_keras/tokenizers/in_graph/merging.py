"""Byte-pair merges of all words of a batch at once.

Letters in shapes: W words, N symbols of all words together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from llm_keras.tokenizers.byte_pairs import BytePairs
from llm_keras.tokenizers.in_graph import cutting

Tensor = Any

#: The rank of a pair that is no merge.
NEVER = tf.int32.max


class Merges(tf.Module):
    """Spells words with bytes and joins pairs, the first of the list first, until none is left.

    In each turn every word joins all places of its own first pair. That is the same as one place
    after the other, since what is made in a turn goes on only with later pairs (`byte_pairs`
    checks that). In a long word, so does every pair that is the first among its neighbours as far
    as the longest piece reaches: whatever could take one of its symbols away would be a piece that
    holds an earlier pair, and there is none so near.

    Two bytes that stand beside each other in no piece can never be joined, so a word is cut there
    first.

    Args:
        tables: Bytes and merges.
        spelt: The bytes of each id.
    """

    def __init__(self, tables: BytePairs, spelt: Sequence[bytes]) -> None:
        super().__init__()
        size = len(spelt)
        keys = [left * size + right for left, right, _ in tables.merges]
        self._size = tf.constant(size, tf.int64)
        self._ranks = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(keys, tf.int64), tf.range(len(keys), dtype=tf.int32)
            ),
            default_value=NEVER,
        )
        self._joined = tf.constant([joined for _, _, joined in tables.merges], tf.int32)
        self._byte_ids = tf.constant(tables.byte_ids, tf.int32)
        neighbours = {pair for _, _, joined in tables.merges for pair in _pairs(spelt[joined])}
        self._reach = max([1, *(len(spelt[joined]) for _, _, joined in tables.merges)])
        self._may_meet = tf.constant([pair in neighbours for pair in range(256 * 256)])

    def __call__(self, words: Tensor) -> tf.RaggedTensor:
        """Ids of words: string [W] to ragged int32 [W, None]."""
        count = tf.size(words, tf.int64)
        data = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8), tf.int32)
        ends = tf.cumsum(tf.cast(tf.strings.length(words), tf.int64))
        word = cutting.rows(tf.concat([[0], ends], axis=0))
        known = tf.gather(self._byte_ids, data) >= 0
        data, word = tf.boolean_mask(data, known), tf.boolean_mask(word, known)

        met = tf.gather(self._may_meet, data[:-1] * 256 + data[1:]) & (word[:-1] == word[1:])
        starts = tf.concat([tf.ones_like(data[:1], tf.bool), ~met], axis=0)
        part = tf.cumsum(tf.cast(starts, tf.int32)) - 1
        ids, part = self._merge(tf.gather(self._byte_ids, data), part)
        rows = tf.gather(tf.boolean_mask(word, starts), part)
        return tf.RaggedTensor.from_value_rowids(ids, rows, count)

    def _merge(self, ids: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        """Joins what can be joined: ids and their part, both int32 [N]."""

        def turn(ids: Tensor, part: Tensor, rank: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            first = tf.gather(tf.math.segment_min(rank, part), part)  # [N], of the symbol's part
            near = _least(rank, self._reach)
            chosen = _without_overlap(rank, ((rank == first) | (rank == near)) & (rank < NEVER))
            joined = tf.gather(self._joined, tf.where(chosen, rank, 0))
            kept = ~tf.concat([[False], chosen[:-1]], axis=0)
            ids = tf.boolean_mask(tf.where(chosen, joined, ids), kept)
            part = tf.boolean_mask(part, kept)
            return ids, part, self._rank(ids, part)

        some = tf.TensorShape([None])
        ids, part, _ = tf.while_loop(
            lambda _ids, _part, rank: tf.reduce_any(rank < NEVER),
            turn,
            (ids, part, self._rank(ids, part)),
            shape_invariants=(some, some, some),
        )
        return ids, part

    def _rank(self, ids: Tensor, part: Tensor) -> Tensor:
        """The place in the list of each symbol and the next one, int32 [N]."""
        wide = tf.cast(ids, tf.int64)
        rank = self._ranks.lookup(wide[:-1] * self._size + wide[1:])
        rank = tf.where(part[:-1] == part[1:], rank, NEVER)
        return tf.concat([rank, tf.fill([tf.minimum(tf.size(ids), 1)], NEVER)], axis=0)


def _least(rank: Tensor, reach: int) -> Tensor:
    """The least rank of the pairs up to `reach` places away on both sides, int32 [N]."""
    least, span = tf.pad(rank, [[reach, reach]], constant_values=NEVER), 1
    while span < 2 * reach + 1:
        step = min(span, 2 * reach + 1 - span)
        least, span = tf.minimum(least[:-step], least[step:]), span + step
    return least


def _without_overlap(rank: Tensor, chosen: Tensor) -> Tensor:
    """Every second place of each run of one pair, from the left: in `aaa` the first two are joined.

    A run whose beginning is not chosen waits, or it would be counted from its middle.
    """
    number = tf.range(tf.size(rank))
    begins = tf.concat([[True], rank[1:] != rank[:-1]], axis=0)
    run = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    first = tf.gather(tf.boolean_mask(number, begins), run)
    return chosen & tf.gather(chosen, first) & ((number - first) % 2 == 0)


def _pairs(piece: bytes) -> set[int]:
    return {left * 256 + right for left, right in itertools.pairwise(piece)}
