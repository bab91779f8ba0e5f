"""Where tokens stand and what they see when their past is in a cache.

B rows, T positions of a call, S slots of the cache, N query heads.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

from llm_keras import config
from llm_keras.layers.attention import Context
from llm_keras.layers.masks import additive, bias_of, in_reach
from llm_keras.layers.shapes import sizes
from llm_keras.models.transformer import score_bias


class Place(NamedTuple):
    """What `decode` of a model must know of its tokens.

    Attributes:
        positions: int32 [B, T], in the row's text.
        context: For `Attention.decode`: `slots`, `rows`, and `mask` or `cache_mask`.
    """

    positions: tf.Tensor
    context: Context


def decode_context(
    settings: config.Model,
    layer: keras.layers.Layer | None,
    tokens: tf.Tensor,
    room: int | tf.Tensor,
    start: int | tf.Tensor,
    left_padding: tf.Tensor | None,
) -> Place:
    """Places the tokens [B, T] of a call of `decode` into a cache of `room` slots.

    Args:
        settings: The model's.
        layer: Of `parts.positions`.
        tokens: int32 [B, T].
        room: S.
        start: int32 [B] or scalar, the slot of each row's first token. A Python 0 promises that
            the cache is empty.
        left_padding: int32 [B], the slots of each row that are filling; None: 0.
    """
    batch, length = sizes(tokens)
    starts = tf.broadcast_to(tf.convert_to_tensor(start, tf.int32), [batch])
    slots = starts[:, None] + tf.range(length)  # [B, T]
    # The same places in the slots of all rows, one after the other; made once for all blocks.
    rows = tf.reshape(slots + tf.range(batch)[:, None] * room, [-1, 1])
    context = {"slots": slots, "rows": rows}
    is_empty = isinstance(start, int) and start == 0
    queries = tf.range(length)[None] if is_empty else slots
    keys = tf.range(length if is_empty else room)[None]
    seen = in_reach(queries, keys, causal=True, window=settings.sliding_window)
    positions = slots
    if left_padding is not None:
        seen &= (keys >= left_padding[:, None])[:, None]
        positions = tf.maximum(slots - left_padding[:, None], 0)
    mask = additive(seen)[:, None]
    bias = score_bias(layer, room)
    if bias is not None:
        mask += tf.transpose(bias_of(bias, queries, keys), [1, 0, 2, 3])
    context["mask" if is_empty else "cache_mask"] = mask
    return Place(positions, context)


def rows_of(x: tf.Tensor) -> tf.Tensor:
    """[B, T, ...] as rows [B * T, ...]."""
    return tf.reshape(x, [-1, *x.shape[2:]])
