"""Attention over given queries, keys and values: the arithmetic without the weights.

B rows, T query positions, S key positions, N query heads, K key-value heads, G = N / K query heads
that share one key-value head, H features of a head.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from llm_keras.layers.shapes import sizes

#: Added to a score that must not count: far below any score, finite in float32.
MASKED = -1e9


def causal_mask(length: int | tf.Tensor) -> tf.Tensor:
    """Additive float32 [1, T, T]: 0 where the key is not after the query, else `MASKED`."""
    position = tf.range(length)
    return additive(position[None, :] <= position[:, None])[None]


def segment_mask(segments: tf.Tensor) -> tf.Tensor:
    """Additive float32 [B, T, T]: `causal_mask` that also keeps packed documents apart.

    Args:
        segments: int32 [B, T]; a query sees keys of its own segment only. Segment 0, the filling,
            sees itself, which keeps every softmax finite; the loss does not count it.
    """
    position = tf.range(sizes(segments)[1])
    causal = position[None, :] <= position[:, None]
    return additive(causal & (segments[:, :, None] == segments[:, None, :]))


def additive(seen: tf.Tensor) -> tf.Tensor:
    """Float32 of the same shape: 0 where a key is seen, else `MASKED`."""
    return tf.where(seen, 0.0, MASKED)


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: tf.Tensor,
    block_length: int | None = None,
) -> tf.Tensor:
    """Scaled dot-product attention with grouped heads.

    ``softmax(query @ key.T / sqrt(H) + mask) @ value``, the softmax in float32.

    Heads that share keys stand below each other in one product [G T, H] @ [H, S], so that keys are
    never repeated. With `block_length`, queries are taken in blocks, and each block sees only the
    keys up to its own end: what a causal mask hides anyway is, about half of it, not computed.

    Args:
        query: float [B, T, N, H].
        key: float [B, S, K, H].
        value: float [B, S, K, H].
        mask: float32, additive, [B or 1, T, S].
        block_length: Queries at once, where T = S is known and a multiple. None: all at once.

    Returns:
        float [B, T, N, H], the dtype of `query`.

    References:
        Vaswani et al. 2017, section 3.2.1; grouped heads: Ainslie et al. 2023, section 2.2.
    """
    batch, length, heads, width = sizes(query)
    shared = key.shape[2]
    query = tf.reshape(query * width**-0.5, [batch, length, shared, heads // shared, width])
    query = tf.transpose(query, [0, 2, 3, 1, 4])  # [B, K, G, T, H]
    key = tf.transpose(key, [0, 2, 1, 3])  # [B, K, S, H]
    value = tf.transpose(value, [0, 2, 1, 3])
    mask = mask[:, None, None]  # [B, 1, 1, T, S]
    # A length that is not known while the graph is made, as in a SavedModel, is not cut.
    if block_length is None or not isinstance(length, int) or length % block_length:
        attended = _attend(query, key, value, mask)
    else:
        attended = _attend_in_blocks(query, key, value, mask, block_length)
    return tf.reshape(tf.transpose(attended, [0, 3, 1, 2, 4]), [batch, length, heads, width])


def attend_one(query: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """`attend` for one query a row, as generation asks it token after token.

    Keys stay as the cache holds them, all heads in a row: each query head is laid into a row of
    zeros at its keys' place, and one product with the cache serves all heads. This computes K times
    too much, but reads the cache once and moves nothing: at one token, reading is what costs.

    Args:
        query: float [B, N, H].
        keys: float [B, S, K * H].
        values: float [B, S, K * H].
        mask: float32, additive, [B or 1, 1, S].

    Returns:
        float [B, N, H].
    """
    heads, width = query.shape[1:]
    shared = keys.shape[2] // width
    # [N, K, 1]: which keys' place a query head has.
    place = tf.constant(np.eye(shared).repeat(heads // shared, axis=0)[:, :, None], query.dtype)
    laid = tf.reshape((query * width**-0.5)[:, :, None, :] * place, [-1, heads, shared * width])
    scores = tf.cast(tf.matmul(laid, keys, transpose_b=True), tf.float32) + mask
    mixed = tf.matmul(tf.cast(tf.nn.softmax(scores), values.dtype), values)  # [B, N, K * H]
    return tf.reduce_sum(tf.reshape(mixed, [-1, heads, shared, width]) * place, axis=2)


def _attend_in_blocks(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor, block_length: int
) -> tf.Tensor:
    blocks = []
    for index, part in enumerate(tf.split(query, query.shape[3] // block_length, axis=3)):
        end = (index + 1) * block_length
        # Slices, whose gradient is cheaper than that of an index.
        seen_keys, seen_values = (tf.slice(x, [0] * 4, [-1, -1, end, -1]) for x in (key, value))
        shown = mask[..., end - block_length : end, :end]
        blocks.append(_attend(part, seen_keys, seen_values, shown))
    return tf.concat(blocks, axis=3)


def _attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Queries [B, K, G, T, H] on keys and values [B, K, S, H]."""
    batch, shared, groups, length, width = sizes(query)
    rows = tf.reshape(query, [batch, shared, groups * length, width])
    scores = tf.cast(tf.matmul(rows, key, transpose_b=True), tf.float32)
    scores = tf.reshape(scores, [batch, shared, groups, length, sizes(key)[2]]) + mask
    weights = tf.cast(tf.nn.softmax(scores), query.dtype)
    weights = tf.reshape(weights, [batch, shared, groups * length, sizes(key)[2]])
    return tf.reshape(tf.matmul(weights, value), [batch, shared, groups, length, width])
