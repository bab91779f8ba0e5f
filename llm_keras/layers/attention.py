"""Causal self-attention with grouped query heads, and its cache of keys and values.

B rows, T positions, S positions of the cache, D hidden, N query heads, K key-value heads, H head.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.attention_core import attend, attend_one
from llm_keras.layers.linear import Linear
from llm_keras.layers.rotary_positions import rotate
from llm_keras.layers.shapes import sizes

Cache = tuple[tf.Tensor, tf.Tensor]


@keras.saving.register_keras_serializable(package="llm_keras")
class Attention(keras.layers.Layer):
    """Each position gathers from those before it in its document.

    ``y = attend(rotate(x Wq), rotate(x Wk), x Wv, mask) Wo`` with `attention_core.attend`.

    Args:
        num_query_heads: N.
        num_key_value_heads: K, a divisor of N; each serves N / K query heads.
        head_dim: H.
        use_bias: Whether the four projections have biases.
        block_length: Queries at once, see `attention_core.attend`.

    Call arguments:
        x: float [B, T, D].
        context: `mask`, additive float32 [B or 1, T, T], and perhaps `cos` and `sin` of
            `RotaryPositions`.

    Returns:
        float [B, T, D].

    >>> from llm_keras.layers.attention_core import causal_mask
    >>> attention = Attention(num_query_heads=4, num_key_value_heads=2, head_dim=8)
    >>> attention(tf.zeros([2, 3, 16]), {"mask": causal_mask(3)}).shape
    TensorShape([2, 3, 16])

    Raises:
        ValueError: N is not a multiple of K.

    References:
        Vaswani et al. 2017, section 3.2.2; grouped heads: Ainslie et al. 2023, section 2.2.
    """

    def __init__(
        self,
        num_query_heads: int,
        num_key_value_heads: int,
        head_dim: int,
        use_bias: bool = False,
        block_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"expected num_query_heads to be a multiple of num_key_value_heads, got"
                f" {num_query_heads} and {num_key_value_heads}"
            )
        self.autocast = False  # the mask and the tables stay float32
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_dim = head_dim
        self.use_bias = use_bias
        self.block_length = block_length

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the projections `query`, `key`, `value` and `output`."""
        hidden = input_shape[-1]
        inner = self.num_query_heads * self.head_dim
        shared = self.num_key_value_heads * self.head_dim
        self.query = self._projection("query", inner, ("hidden", "query_heads"))
        self.key = self._projection("key", shared, ("hidden", "key_value_heads"))
        self.value = self._projection("value", shared, ("hidden", "key_value_heads"))
        self.output_projection = self._projection("output", hidden, ("query_heads", "hidden"))
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.output_projection.build((*input_shape[:-1], inner))

    def call(self, x: tf.Tensor, context: dict[str, tf.Tensor]) -> tf.Tensor:
        """Attends within the rows; see the class."""
        query, key, value = self._project(x, context)
        attended = attend(query, key, value, context["mask"], self.block_length)
        inner = self.num_query_heads * self.head_dim
        return self.output_projection(tf.reshape(attended, [*sizes(x)[:2], inner]))

    def initial_cache(self, batch_size: int | tf.Tensor, length: int | tf.Tensor) -> Cache:
        """Room for `length` positions: keys and values, zeros [B, S, K * H]."""
        shape = [batch_size, length, self.num_key_value_heads * self.head_dim]
        return tf.zeros(shape, self.compute_dtype), tf.zeros(shape, self.compute_dtype)

    def decode(
        self, x: tf.Tensor, context: dict[str, tf.Tensor], cache: Cache
    ) -> tuple[tf.Tensor, Cache]:
        """Writes keys and values into the cache, and attends to it.

        Args:
            x: float [B * T, D], the rows of one sequence after those of the other.
            context: `slots`, int32 [B * T, 1], the row of the cache [B * S] that each row of `x`
                is written to; perhaps `cos` and `sin`; and one of two masks: `cache_mask`, additive
                float32 [B, T, S], or `mask` [1, T, T], which promises that the cache is empty, so
                that the rows of `x` are all there is to attend to.
            cache: Keys and values of the positions so far.

        Returns:
            float [B * T, D] and the cache, now filled at `slots`.
        """
        query, key, value = self._project(x, context)
        cache = _write(cache[0], context["slots"], key), _write(cache[1], context["slots"], value)
        if "mask" in context:
            batch, length = sizes(cache[0])[0], sizes(context["mask"])[1]
            query, key, value = (
                tf.reshape(part, [batch, length, *part.shape[1:]]) for part in (query, key, value)
            )
            attended = attend(query, key, value, context["mask"])
        elif context["cache_mask"].shape[1] == 1:
            attended = attend_one(query, *cache, context["cache_mask"])
        else:
            batch, length, slots = sizes(context["cache_mask"])
            keys, values = (tf.reshape(part, [batch, slots, *key.shape[1:]]) for part in cache)
            query = tf.reshape(query, [batch, length, *query.shape[1:]])
            attended = attend(query, keys, values, context["cache_mask"])
        inner = self.num_query_heads * self.head_dim
        return self.output_projection(tf.reshape(attended, [-1, inner])), cache

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "use_bias": self.use_bias,
            "block_length": self.block_length,
        }

    def _projection(self, name: str, units: int, dimensions: tuple[str, str]) -> Linear:
        return Linear(units, dimensions, self.use_bias, name=name, dtype=self.dtype_policy)

    def _project(self, x: tf.Tensor, context: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        """Queries [..., N, H], keys and values [..., K, H], turned where positions are rotary."""
        query = self._heads(self.query(x), self.num_query_heads)
        key = self._heads(self.key(x), self.num_key_value_heads)
        value = self._heads(self.value(x), self.num_key_value_heads)
        if "cos" in context:
            tables = context["cos"], context["sin"]
            query, key = rotate(query, tables), rotate(key, tables)
        return query, key, value

    def _heads(self, x: tf.Tensor, heads: int) -> tf.Tensor:
        outer = [-1] if x.shape.rank == 2 else sizes(x)[:2]
        return tf.reshape(x, [*outer, heads, self.head_dim])


def _write(cache: tf.Tensor, slots: tf.Tensor, heads: tf.Tensor) -> tf.Tensor:
    """The cache [B, S, K * H] with `heads` [B * T, K, H] at `slots` [B * T, 1] of its rows."""
    width = cache.shape[2]
    rows = tf.reshape(cache, [-1, width])
    rows = tf.tensor_scatter_nd_update(rows, slots, tf.reshape(heads, [-1, width]))
    return tf.reshape(rows, sizes(cache))
