"""Rematerialization (gradient checkpointing): memory for time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

BlockCall = Callable[[Any, tf.Tensor, Any, tf.Tensor | None], tf.Tensor]


def recompute_block(
    block: Callable[..., tf.Tensor], x: tf.Tensor, context: Any, dropout_key: tf.Tensor | None
) -> tf.Tensor:
    """Calls a block of a model so that only its input is kept for the backward pass.

    The block runs a second time when its gradient is due. Its dropout masks are a function of
    `dropout_key`, not of a generator's state, so that both runs drop the same elements.

    Args:
        block: Maps `x`, `context` and `dropout_key` to a tensor like `x`.
        x: float [B, T, D], the input to keep; the gradient flows through it and the weights.
        context: What all blocks share and nothing learns through, such as masks.
        dropout_key: int32 [B, 2], or None.

    Returns:
        float [B, T, D].

    References:
        Chen et al. 2016, section 4.1, with one segment a block.
    """
    return tf.recompute_grad(lambda x: block(x, context, dropout_key))(x)
