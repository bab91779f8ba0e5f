"""Attention with grouped query heads: self-attention with its cache, and attention to a memory.

B rows, T positions, S positions of the cache or the memory, D hidden, N query heads, K key-value
heads, H head.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.attention_core import Mask, Scoring, attend, attend_one
from llm_keras.layers.dimensions import name_dimensions
from llm_keras.layers.linear import Linear
from llm_keras.layers.masks import RowMask
from llm_keras.layers.normalization import RMSNorm
from llm_keras.layers.rotary_positions import rotate
from llm_keras.layers.shapes import sizes

Cache = tuple[tf.Tensor, tf.Tensor]
Context = dict[str, tf.Tensor]
BIASES = ("all", "query_key_value", "none")


@keras.saving.register_keras_serializable(package="llm_keras")
class Attention(keras.layers.Layer):
    """Each position gathers from the others of its document that it sees.

    ``y = attend(rotate(norm(x Wq)), rotate(norm(x Wk)), x Wv, mask) Wo`` with
    `attention_core.attend`; `rotate` where positions are rotary, `norm` with `qk_norm`.

    Args:
        num_query_heads: N.
        num_key_value_heads: K, a divisor of N; each serves N / K query heads.
        head_dim: H.
        biases: Which projections have one: "all", "query_key_value" or "none".
        causal: Whether a position sees only those before it and itself.
        window: Places that a position sees to each side, its own counted; None: all.
        qk_norm: Whether each head's queries and keys are normalized to unit root mean square.
        norm_epsilon: Of that norm.
        scale: Factor of the scores; None: ``1 / sqrt(H)``.
        logit_cap: See `attention_core.Scoring`.
        rope_pairing: See `RotaryPositions`.
        block_length: Queries at once, see `attention_core.attend`.

    Call arguments:
        x: float [B, T, D].
        context: Either `mask`, float32 [B or 1, N or 1, T, T], see `masks`; or, for long rows, what
            a `masks.RowMask` is made of: perhaps `segments` int32 [B, T], perhaps `distance_bias`
            float32 [N, 2 T - 1]. Perhaps `cos` and `sin` of `RotaryPositions`.

    Returns:
        float [B, T, D].

    >>> from llm_keras.layers.masks import causal_mask
    >>> attention = Attention(num_query_heads=4, num_key_value_heads=2, head_dim=8)
    >>> attention(tf.zeros([2, 3, 16]), {"mask": causal_mask(3)}).shape
    TensorShape([2, 3, 16])

    Raises:
        ValueError: N is not a multiple of K, or `biases` is unknown.

    References:
        Vaswani et al. 2017, section 3.2.2; grouped heads: Ainslie et al. 2023, section 2.2; norm of
        queries and keys: Henry et al. 2020, section 3, here with a root mean square as Qwen 3.
    """

    def __init__(
        self,
        num_query_heads: int,
        num_key_value_heads: int,
        head_dim: int,
        biases: str = "none",
        causal: bool = True,
        window: int | None = None,
        qk_norm: bool = False,
        norm_epsilon: float = 1e-6,
        scale: float | None = None,
        logit_cap: float | None = None,
        rope_pairing: str = "halves",
        block_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"expected num_query_heads to be a multiple of num_key_value_heads, got"
                f" {num_query_heads} and {num_key_value_heads}"
            )
        if biases not in BIASES:
            raise ValueError(f"expected biases of {BIASES}, got {biases!r}")
        self.autocast = False  # the mask and the tables stay float32
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_dim = head_dim
        self.biases = biases
        self.causal = causal
        self.window = window
        self.qk_norm = qk_norm
        self.norm_epsilon = norm_epsilon
        self.scoring = Scoring(scale, logit_cap)
        self.rope_pairing = rope_pairing
        self.block_length = block_length

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the projections `query`, `key`, `value` and `output`, and the norms of heads."""
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
        for layer in (self.query, self.key, self.value, self.output_projection):
            name_dimensions(layer.kernel, *layer.dimensions, whole=self.head_dim)
        self.query_norm = self.key_norm = None
        if self.qk_norm:
            self.query_norm, self.key_norm = self._head_norm("query"), self._head_norm("key")

    def call(self, x: tf.Tensor, context: Context) -> tf.Tensor:
        """Attends within the rows; see the class."""
        query = self._turn(self._queries(x), context)
        key, value = self._keys_and_values(x)
        key = self._turn(key, context)
        mask = self._mask(context, sizes(x)[1])
        return self._join(attend(query, key, value, mask, self.block_length, self.scoring), x)

    def initial_cache(self, batch_size: int | tf.Tensor, length: int | tf.Tensor) -> Cache:
        """Room for `length` positions: keys and values, zeros [B, S, K * H]."""
        shape = [batch_size, length, self.num_key_value_heads * self.head_dim]
        return tf.zeros(shape, self.compute_dtype), tf.zeros(shape, self.compute_dtype)

    def decode(self, x: tf.Tensor, context: Context, cache: Cache) -> tuple[tf.Tensor, Cache]:
        """Writes keys and values into the cache, and attends to it.

        Args:
            x: float [B * T, D], the rows of one sequence after those of the other.
            context: `slots`, int32 [B, T], the place in its row's cache that each position is
                written to, and `rows`, int32 [B * T, 1], the same place in the cache of all rows,
                one after the other; perhaps `cos` and `sin`, [B * T, 1, H]; and one of two masks:
                `cache_mask`, additive float32 [B, N or 1, T, S], or `mask` [B or 1, N or 1, T, T],
                which promises that the cache is empty, so that the rows of `x` are all there is to
                attend to.
            cache: Keys and values of the positions so far.

        Returns:
            float [B * T, D] and the cache, now filled at `slots`.
        """
        query = self._turn(self._queries(x), context)
        key, value = self._keys_and_values(x)
        key = self._turn(key, context)
        cache = _write(cache[0], context["rows"], key), _write(cache[1], context["rows"], value)
        if "mask" in context:
            outer = sizes(context["slots"])
            query, key, value = (
                tf.reshape(part, [*outer, *part.shape[1:]]) for part in (query, key, value)
            )
            attended = attend(query, key, value, context["mask"], scoring=self.scoring)
            return self._join(attended, x), cache
        return self._join(self._attend_to(query, cache, context["cache_mask"], context), x), cache

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "biases": self.biases,
            "causal": self.causal,
            "window": self.window,
            "qk_norm": self.qk_norm,
            "norm_epsilon": self.norm_epsilon,
            "scale": self.scoring.scale,
            "logit_cap": self.scoring.logit_cap,
            "rope_pairing": self.rope_pairing,
            "block_length": self.block_length,
        }

    def _projection(self, name: str, units: int, dimensions: tuple[str, str]) -> Linear:
        use_bias = self.biases == "all" or (self.biases == "query_key_value" and name != "output")
        return Linear(units, dimensions, use_bias, name=name, dtype=self.dtype_policy)

    def _head_norm(self, of: str) -> RMSNorm:
        norm = RMSNorm(epsilon=self.norm_epsilon, name=f"{of}_norm", dtype=self.dtype_policy)
        norm.build((None, self.head_dim))
        name_dimensions(norm.scale, "head")
        return norm

    def _mask(self, context: Context, length: int | tf.Tensor) -> Mask:
        if "mask" in context:
            return context["mask"]
        parts = (context.get("segments"), context.get("distance_bias"))
        return RowMask(length, self.causal, self.window, *parts)

    def _queries(self, x: tf.Tensor) -> tf.Tensor:
        query = self._heads(self.query(x), self.num_query_heads)
        return query if self.query_norm is None else self.query_norm(query)

    def _keys_and_values(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key = self._heads(self.key(x), self.num_key_value_heads)
        value = self._heads(self.value(x), self.num_key_value_heads)
        return (key if self.key_norm is None else self.key_norm(key)), value

    def _turn(self, heads: tf.Tensor, context: Context) -> tf.Tensor:
        if "cos" not in context:
            return heads
        return rotate(heads, (context["cos"], context["sin"]), self.rope_pairing)

    def _attend_to(
        self, query: tf.Tensor, cache: Cache, mask: tf.Tensor, context: Context
    ) -> tf.Tensor:
        """Queries [B * T, N, H] on keys and values [B, S, K * H]."""
        batch, length = sizes(context["slots"])
        if isinstance(length, int) and length == 1:
            return attend_one(query, *cache, mask, self.scoring)
        shape = [batch, sizes(cache[0])[1], self.num_key_value_heads, self.head_dim]
        keys, values = (tf.reshape(part, shape) for part in cache)
        query = tf.reshape(query, [batch, length, *query.shape[1:]])
        return attend(query, keys, values, mask, scoring=self.scoring)

    def _join(self, attended: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Heads [..., N, H] to the output, whose shape is that of `x`."""
        inner = self.num_query_heads * self.head_dim
        outer = [-1] if x.shape.rank == 2 else sizes(x)[:2]
        return self.output_projection(tf.reshape(attended, [*outer, inner]))

    def _heads(self, x: tf.Tensor, heads: int) -> tf.Tensor:
        outer = [-1] if x.shape.rank == 2 else sizes(x)[:2]
        return tf.reshape(x, [*outer, heads, self.head_dim])


def _write(cache: tf.Tensor, rows: tf.Tensor, heads: tf.Tensor) -> tf.Tensor:
    """The cache [B, S, K * H], as B * S rows, with `heads` [B * T, K, H] at `rows` [B * T, 1]."""
    width = cache.shape[-1]
    flat = tf.reshape(cache, [-1, width])
    flat = tf.tensor_scatter_nd_update(flat, rows, tf.reshape(heads, [-1, width]))
    return tf.reshape(flat, tf.shape(cache))
