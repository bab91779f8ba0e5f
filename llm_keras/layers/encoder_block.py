"""One block of an encoder: self-attention and feed-forward."""

from __future__ import annotations

import keras
import tensorflow as tf

from llm_keras.layers.attention import Context
from llm_keras.layers.residual_block import (
    AttentionCall,
    BlockOutput,
    ResidualBlock,
    call_attention,
)


@keras.saving.register_keras_serializable(package="llm_keras")
class EncoderBlock(ResidualBlock):
    """Attention in both directions, then feed-forward, each added to what it read.

    The arguments are those of `ResidualBlock`; `attention` should say ``causal: False``.

    Call arguments:
        x: float [B, T, D].
        context: What all blocks share, made once a step: see `Attention`, and perhaps `real`,
            bool [B, T], for experts.
        dropout_key: int32 [B, 2], see `KeyedDropout`; None: no dropout and no capacity of experts.
        attention_call: How attention is called, with its norm and dropout; rematerialization puts
            its own there.

    Returns:
        `BlockOutput`: float [B, T, D], and the router's sums.

    >>> block = EncoderBlock(
    ...     attention={"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    ...     feed_forward={"intermediate_dim": 32},
    ... )
    >>> block(tf.zeros([2, 3, 16]), {"mask": tf.zeros([1, 1, 3, 3])}).x.shape
    TensorShape([2, 3, 16])

    References:
        Vaswani et al. 2017, section 3.1, "Encoder".
    """

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
        return self._feed(x, context, dropout_key)
