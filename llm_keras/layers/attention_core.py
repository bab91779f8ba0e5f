"""Attention over given queries, keys and values: the arithmetic without the weights.

B rows, T query positions, S key positions, N query heads, K key-value heads, G = N / K query heads
that share one key-value head, H features of a head.
"""

from __future__ import annotations

import tensorflow as tf

#: Added to a score that must not count: far below any score, finite in float32.
MASKED = -1e9


def causal_mask(length: int | tf.Tensor) -> tf.Tensor:
    """Additive float32 [1, 1, T, T]: 0 where the key is not after the query, else `MASKED`."""
    position = tf.range(length)
    return _additive(position[None, :] <= position[:, None])[None, None]


def segment_mask(segments: tf.Tensor) -> tf.Tensor:
    """Additive float32 [B, 1, T, T]: `causal_mask` that also keeps packed documents apart.

    Args:
        segments: int32 [B, T]; a query sees keys of its own segment only. Segment 0, the filling,
            sees itself, which keeps every softmax finite; the loss does not count it.
    """
    position = tf.range(tf.shape(segments)[1])
    seen = (position[None, :] <= position[:, None])[None]
    same = segments[:, :, None] == segments[:, None, :]
    return _additive(seen & same)[:, None]


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: tf.Tensor,
    block_length: int | None = None,
) -> tf.Tensor:
    """Scaled dot-product attention with grouped heads.

    ``softmax(query @ key.T / sqrt(H) + mask) @ value``, the softmax in float32.

    With `block_length`, queries are taken in blocks and each block sees only the keys up to its own
    end, which a causal mask hides anyway: about half of the work is skipped.

    Args:
        query: float [B, T, N, H].
        key: float [B, S, K, H].
        value: float [B, S, K, H].
        mask: float32, additive, [B or 1, 1, T, S].
        block_length: Queries at once; must divide T, and needs T = S. None: all at once.

    Returns:
        float [B, T, N, H], the dtype of `query`.

    References:
        Vaswani et al. 2017, section 3.2.1; grouped heads: Ainslie et al. 2023, section 2.2.
    """
    length, heads, width = query.shape[1:]
    groups = heads // key.shape[2]
    query = tf.transpose(query * (width**-0.5), [0, 2, 1, 3])
    key = _share(tf.transpose(key, [0, 2, 1, 3]), groups)
    value = _share(tf.transpose(value, [0, 2, 1, 3]), groups)
    if block_length is None or length is None or block_length >= length:
        return tf.transpose(_attend(query, key, value, mask), [0, 2, 1, 3])
    blocks = []
    for index, part in enumerate(tf.split(query, length // block_length, axis=2)):
        end = (index + 1) * block_length
        hidden = mask[:, :, end - block_length : end, :end]
        blocks.append(_attend(part, _until(key, end), _until(value, end), hidden))
    return tf.transpose(tf.concat(blocks, axis=2), [0, 2, 1, 3])


def _attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32) + mask
    return tf.matmul(tf.cast(tf.nn.softmax(scores), query.dtype), value)


def _share(x: tf.Tensor, groups: int) -> tf.Tensor:
    """[B, K, S, H] to [B, K * groups, S, H]: neighbouring query heads share one."""
    return x if groups == 1 else tf.repeat(x, groups, axis=1)


def _until(x: tf.Tensor, end: int) -> tf.Tensor:
    """The first `end` keys; a slice, whose gradient is cheaper than that of an index."""
    return tf.slice(x, [0, 0, 0, 0], [-1, -1, end, -1])


def _additive(seen: tf.Tensor) -> tf.Tensor:
    return tf.where(seen, 0.0, MASKED)
