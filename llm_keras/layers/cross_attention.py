"""Attention of a decoder to what its encoder made."""

from __future__ import annotations

import keras
import tensorflow as tf

from llm_keras.layers.attention import Attention, Cache, Context
from llm_keras.layers.attention_core import attend
from llm_keras.layers.shapes import sizes


@keras.saving.register_keras_serializable(package="llm_keras")
class CrossAttention(Attention):
    """Each position of the decoder gathers from all positions of the memory.

    ``y = attend(x Wq, memory Wk, memory Wv, mask) Wo``: no position of the source is after another
    in the sense of the decoder, so nothing is masked but filling, and nothing is turned.

    Args:
        num_query_heads: N.
        num_key_value_heads: K, a divisor of N.
        head_dim: H.

    Further arguments as `Attention`; `causal`, `window` and `rope_pairing` have no meaning here.

    Call arguments:
        x: float [B, T, D].
        context: `memory`, float [B, S, D], and `memory_mask`, float32 [B or 1, 1, 1, S].

    Returns:
        float [B, T, D].

    >>> context = {"memory": tf.zeros([2, 5, 16]), "memory_mask": tf.zeros([1, 1, 1, 5])}
    >>> attention = CrossAttention(num_query_heads=4, num_key_value_heads=4, head_dim=4)
    >>> attention(tf.zeros([2, 3, 16]), context).shape
    TensorShape([2, 3, 16])

    References:
        Vaswani et al. 2017, section 3.2.3, "encoder-decoder attention".
    """

    def call(self, x: tf.Tensor, context: Context) -> tf.Tensor:
        """Attends to the memory; see the class."""
        key, value = self._keys_and_values(context["memory"])
        mask = context["memory_mask"]
        attended = attend(self._queries(x), key, value, mask, self.block_length, self.scoring)
        return self._join(attended, x)

    def memorize(self, memory: tf.Tensor) -> Cache:
        """Keys and values of the memory, float [B, S, K * H], made once for a whole decoding."""
        width = self.num_key_value_heads * self.head_dim
        key, value = (
            tf.reshape(heads, [*sizes(memory)[:2], width])
            for heads in self._keys_and_values(memory)
        )
        return key, value

    def decode(self, x: tf.Tensor, context: Context, cache: Cache) -> tuple[tf.Tensor, Cache]:
        """Attends to what `memorize` gave.

        Args:
            x: float [B * T, D], the rows of one sequence after those of the other.
            context: `memory_mask`, float32 [B, 1, 1, S], and `slots`, int32 [B, T].
            cache: Keys and values, [B, S, K * H].

        Returns:
            float [B * T, D] and the cache as it was.
        """
        attended = self._attend_to(self._queries(x), cache, context["memory_mask"], context)
        return self._join(attended, x), cache
