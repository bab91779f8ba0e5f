"""One block of a decoder: masked self-attention, perhaps attention to a memory, feed-forward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.attention import Cache, Context
from llm_keras.layers.cross_attention import CrossAttention
from llm_keras.layers.residual_block import (
    AttentionCall,
    BlockOutput,
    ResidualBlock,
    call_attention,
)


@keras.saving.register_keras_serializable(package="llm_keras")
class DecoderBlock(ResidualBlock):
    """Masked self-attention, attention to the encoder's output, feed-forward; each on the residual.

    The arguments are those of `ResidualBlock`, and one more.

    Args:
        cross_attention: Whether there is an encoder to attend to. A decoder-only model has none.

    Call arguments:
        x: float [B, T, D].
        context: What all blocks share, made once a step: see `Attention` and, with
            `cross_attention`, `CrossAttention`; perhaps `real`, bool [B, T], for experts.
        dropout_key: int32 [B, 2], see `KeyedDropout`; None: no dropout and no capacity of experts.
        attention_call: How attention is called, with its norm and dropout; rematerialization puts
            its own there.

    Returns:
        `BlockOutput`: float [B, T, D], and the router's sums.

    >>> from llm_keras.layers.masks import causal_mask
    >>> block = DecoderBlock(
    ...     attention={"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    ...     feed_forward={"intermediate_dim": 32},
    ... )
    >>> block(tf.zeros([2, 3, 16]), {"mask": causal_mask(3)}).x.shape
    TensorShape([2, 3, 16])

    References:
        Vaswani et al. 2017, section 3.1, "Decoder".
    """

    def __init__(
        self,
        attention: Mapping[str, Any],
        feed_forward: Mapping[str, Any],
        cross_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(attention, feed_forward, **kwargs)
        self.has_memory = cross_attention
        if cross_attention:
            self._make_attention(CrossAttention, "cross_attention")

    def call(
        self,
        x: tf.Tensor,
        context: Context,
        dropout_key: tf.Tensor | None = None,
        attention_call: AttentionCall = call_attention,
    ) -> BlockOutput:
        """Applies the block; see the class."""
        x = tf.cast(x, self.compute_dtype)
        x = attention_call(self._attend, x, context, dropout_key)
        if self.has_memory:
            cross = partial(self._attend, name="cross_attention")
            x = attention_call(cross, x, context, dropout_key)
        return self._feed(x, context, dropout_key)

    def decode(
        self, x: tf.Tensor, context: Context, cache: Cache, memory: Cache | None = None
    ) -> tuple[tf.Tensor, Cache]:
        """`call` on rows [B * T, D] whose past is in the cache.

        Args:
            x: float [B * T, D].
            context: See `Attention.decode` and `CrossAttention.decode`.
            cache: Keys and values of the positions so far.
            memory: Of `CrossAttention.memorize`, where there is an encoder.

        Returns:
            float [B * T, D], and the cache with these positions.
        """
        y, cache = self.attention.decode(self._before("attention", x), context, cache)
        x = self._after("attention", x, y)
        if memory is not None:
            y, _ = self.cross_attention.decode(self._before("cross_attention", x), context, memory)
            x = self._after("cross_attention", x, y)
        return self._feed(x, context).x, cache

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "cross_attention": self.has_memory}
