"""Attention over given queries, keys and values: the arithmetic without the weights.

B rows, T query positions, S key positions, N query heads, K key-value heads, G = N / K query heads
that share one key-value head, H features of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from llm_keras.fusion import fusible
from llm_keras.layers.masks import RowMask
from llm_keras.layers.shapes import sizes

#: Rows up to this length keep their attention weights for the backward pass. Of longer ones each
#: block of queries makes them again, so that no [T, S] matrix a head is ever kept.
KEPT_LENGTH = 1024
#: Least and most queries at once, where nobody says how many.
BLOCKS = (128, 512)

#: float32 [B or 1, N or 1, T or 1, S], or a `RowMask`.
Mask: TypeAlias = Any


@dataclass(frozen=True)
class Scoring:
    """How a query and a key make a score.

    ``score = cap(scale * query . key)`` with ``cap(s) = logit_cap * tanh(s / logit_cap)``.

    Attributes:
        scale: None: ``1 / sqrt(H)``.
        logit_cap: None: scores stay as they are.

    References:
        Vaswani et al. 2017, section 3.2.1; the cap: Gemma Team 2024, section 2.
    """

    scale: float | None = None
    logit_cap: float | None = None

    def scaled(self, query: tf.Tensor) -> tf.Tensor:
        """Queries [..., H] times the scale, so that fewer numbers are multiplied."""
        return query * (query.shape[-1] ** -0.5 if self.scale is None else self.scale)

    def capped(self, scores: tf.Tensor) -> tf.Tensor:
        """Float32 scores of any shape, limited."""
        if self.logit_cap is None:
            return scores
        return self.logit_cap * tf.tanh(scores / self.logit_cap)


PLAIN = Scoring()


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: Mask,
    block_length: int | None = None,
    scoring: Scoring = PLAIN,
) -> tf.Tensor:
    """Scaled dot-product attention with grouped heads.

    ``softmax(score(query, key) + mask) @ value``, the softmax in float32.

    Heads that share keys stand below each other in one product [G T, H] @ [H, S], so that keys are
    never repeated. Queries may be taken in blocks; with a `RowMask` each block sees only the keys
    in its reach: what a causal mask hides anyway is, about half of it, not computed.

    Args:
        query: float [B, T, N, H].
        key: float [B, S, K, H].
        value: float [B, S, K, H].
        mask: What is added to the scores, see `masks`: float32 [B or 1, N or 1, T or 1, S], or a
            `RowMask`, which is never made whole where queries are taken in blocks.
        block_length: Queries at once, where T is known; None: see `choose_block`.
        scoring: Scale and cap of the scores.

    Returns:
        float [B, T, N, H], the dtype of `query`.

    References:
        Vaswani et al. 2017, section 3.2.1; grouped heads: Ainslie et al. 2023, section 2.2; blocks
        that are computed again: Rabe and Staats 2021, section 3.
    """
    batch, length, heads, width = sizes(query)
    shared = key.shape[2]
    query = tf.reshape(scoring.scaled(query), [batch, length, shared, heads // shared, width])
    query = tf.transpose(query, [0, 2, 3, 1, 4])  # [B, K, G, T, H]
    key = tf.transpose(key, [0, 2, 1, 3])  # [B, K, S, H]
    value = tf.transpose(value, [0, 2, 1, 3])
    # A length that is not known while the graph is made, as in a SavedModel, is not cut.
    known = length if isinstance(length, int) else 0
    if block_length is None:
        reach = (mask.causal, mask.window) if isinstance(mask, RowMask) else (False, None)
        block_length = choose_block(length, *reach)
    if block_length is None or block_length >= known:
        whole = mask.whole() if isinstance(mask, RowMask) else mask
        attended = _attend(query, key, value, whole, scoring)
    else:
        parts, recompute = (query, key, value), known > KEPT_LENGTH
        attended = _attend_in_blocks(parts, mask, block_length, scoring, recompute)
    return tf.reshape(tf.transpose(attended, [0, 3, 1, 2, 4]), [batch, length, heads, width])


def choose_block(length: int | tf.Tensor, causal: bool, window: int | None) -> int | None:
    """How many queries of a row to take at once; None: all of them.

    Blocks pay where they let keys be left out, and where a long row's scores would be too many;
    benchmarks/attention.py measures both.

    Args:
        length: T.
        causal: Whether keys after a query are hidden.
        window: Places that a query sees to each side; None: all.
    """
    if not isinstance(length, int) or not (causal or window or length > KEPT_LENGTH):
        return None
    least, most = BLOCKS
    block = min(max(length // 4, least), most)
    return block if block < length else None


def attend_one(
    query: tf.Tensor,
    keys: tf.Tensor,
    values: tf.Tensor,
    mask: tf.Tensor,
    scoring: Scoring = PLAIN,
) -> tf.Tensor:
    """`attend` for one query a row, as generation asks it token after token.

    Keys stay as the cache holds them, all heads in a row: each query head is laid into a row of
    zeros at its keys' place, and one product with the cache serves all heads. This computes K times
    too much, but reads the cache once and moves nothing: at one token, reading is what costs.

    Args:
        query: float [B, N, H].
        keys: float [B, S, K * H].
        values: float [B, S, K * H].
        mask: float32, additive, [B or 1, N or 1, 1, S].
        scoring: Scale and cap of the scores.

    Returns:
        float [B, N, H].
    """
    heads, width = query.shape[1:]
    shared = keys.shape[2] // width
    # [N, K, 1]: which keys' place a query head has.
    place = tf.constant(np.eye(shared).repeat(heads // shared, axis=0)[:, :, None], query.dtype)
    laid = tf.reshape(scoring.scaled(query)[:, :, None, :] * place, [-1, heads, shared * width])
    scores = scoring.capped(tf.cast(tf.matmul(laid, keys, transpose_b=True), tf.float32))
    weights = tf.nn.softmax(scores + tf.squeeze(mask, axis=2))
    mixed = tf.matmul(tf.cast(weights, values.dtype), values)  # [B, N, K * H]
    return tf.reduce_sum(tf.reshape(mixed, [-1, heads, shared, width]) * place, axis=2)


def _attend_in_blocks(
    parts: tuple[tf.Tensor, ...],
    mask: Mask,
    block_length: int,
    scoring: Scoring,
    recompute: bool,
) -> tf.Tensor:
    """Queries [B, K, G, T, H], keys and values [B, K, S, H] to [B, K, G, T, H]."""
    # What of the mask a gradient may flow to must be an argument, to be computed again.
    learned = mask.distance_bias if isinstance(mask, RowMask) else mask
    parts = parts if learned is None else (*parts, learned)
    length, keys_end = parts[0].shape[3], sizes(parts[1])[2]
    blocks = []
    for first in range(0, length, block_length):
        queries = (first, min(first + block_length, length))
        keys = mask.keys_seen(*queries) if isinstance(mask, RowMask) else (0, keys_end)
        blocks.append(_Block(mask, queries, keys, scoring))
    if recompute:
        return _recomputed(blocks)(*parts)
    return tf.concat([block(*parts) for block in blocks], axis=3)


@dataclass(frozen=True)
class _Block:
    """Some queries on the keys in their reach."""

    mask: Mask
    queries: tuple[int, int]
    keys: tuple[int, int | tf.Tensor]
    scoring: Scoring

    def __call__(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        learned: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Of all queries, keys and values, and what is learned of the mask: [B, K, G, t, H]."""
        if isinstance(self.mask, RowMask):
            rows = replace(self.mask, distance_bias=learned)
            added = rows.block(*self.queries, *self.keys)
        else:
            assert learned is not None  # the mask itself
            added = learned if learned.shape[2] == 1 else _places(learned, 2, self.queries)
        # Slices, whose gradient is cheaper than that of an index.
        query = _places(query, 3, self.queries)
        key, value = (_places(part, 2, self.keys) for part in (key, value))
        return _attend(query, key, value, added, self.scoring)


def _recomputed(blocks: Sequence[_Block]) -> Callable[..., tf.Tensor]:
    """All blocks as one function that keeps its arguments only, and runs one block at a time.

    Without the order between them, TensorFlow would start all blocks at once, and hold the scores
    of all.
    """

    @tf.custom_gradient
    def attend(*parts: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            sums = [tf.zeros_like(part, tf.float32) for part in parts]
            for block in blocks:
                with tf.control_dependencies([upstream, *sums]):
                    copies = [tf.identity(part) for part in parts]
                with tf.GradientTape() as tape:
                    tape.watch(copies)
                    result = block(*copies)
                given = _places(upstream, 3, block.queries)
                more = tape.gradient(result, copies, output_gradients=given)
                more = [tf.cast(part, tf.float32) for part in more]
                sums = [total + part for total, part in zip(sums, more, strict=True)]
            return [tf.cast(total, part.dtype) for total, part in zip(sums, parts, strict=True)]

        results: list[tf.Tensor] = []
        for block in blocks:
            with tf.control_dependencies(results[-1:]):
                results.append(block(*(tf.identity(part) for part in parts)))
        return tf.concat(results, axis=3), gradient

    return attend


def _attend(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor, scoring: Scoring
) -> tf.Tensor:
    """Queries [B, K, G, T, H] on keys and values [B, K, S, H]."""
    batch, shared, groups, length, width = sizes(query)
    rows = tf.reshape(query, [batch, shared, groups * length, width])
    scores = tf.matmul(rows, key, transpose_b=True)
    if scoring.logit_cap is not None:
        scores = scoring.capped(tf.cast(scores, tf.float32))
    scores = tf.reshape(scores, [batch, shared, groups, length, sizes(key)[2]])
    weights = tf.cast(softmax(scores, _by_group(mask, shared)), query.dtype)
    weights = tf.reshape(weights, [batch, shared, groups * length, sizes(key)[2]])
    return tf.reshape(tf.matmul(weights, value), [batch, shared, groups, length, width])


@tf.custom_gradient
def softmax(scores: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Softmax of float32 sums of scores and mask; keeps the dtype of the scores, and the weights.

    Args:
        scores: float [B, K, G, T, S].
        mask: float32 [B or 1, K or 1, G or 1, T or 1, S].
    """
    weights = _weights(scores, mask)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        by_scores = _by_scores(weights, upstream)
        spread = [axis for axis in range(4) if mask.shape[axis] == 1]
        by_mask = tf.reduce_sum(tf.cast(by_scores, tf.float32), spread, keepdims=True)
        return by_scores, by_mask

    return weights, gradient


@fusible
def _weights(scores: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + mask), scores.dtype)


@fusible
def _by_scores(weights: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    exact, by_weights = tf.cast(weights, tf.float32), tf.cast(upstream, tf.float32)
    common = tf.reduce_sum(exact * by_weights, axis=-1, keepdims=True)
    return tf.cast(exact * (by_weights - common), weights.dtype)


def _by_group(mask: tf.Tensor, shared: int) -> tf.Tensor:
    """[B or 1, N or 1, T or 1, S] to [B or 1, K or 1, G or 1, T or 1, S]."""
    if mask.shape[1] == 1:
        return tf.expand_dims(mask, 1)
    batch, heads, length, keys = sizes(mask)
    return tf.reshape(mask, [batch, shared, heads // shared, length, keys])


def _places(x: tf.Tensor, axis: int, places: tuple[int, Any]) -> tf.Tensor:
    """`x[first:end]` along one axis."""
    begin, size = [0] * x.shape.rank, [-1] * x.shape.rank
    begin[axis], size[axis] = places[0], places[1] - places[0]
    return tf.slice(x, begin, size)
