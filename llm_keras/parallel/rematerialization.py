"""Rematerialization (gradient checkpointing): memory for time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def recompute_block(
    block: Callable[..., Any],
    x: tf.Tensor,
    context: dict[str, tf.Tensor],
    dropout_key: tf.Tensor | None,
) -> Any:
    """Calls a block of a model so that only its inputs are kept for the backward pass.

    The block runs a second time when its gradient is due. Its dropout masks are a function of
    `dropout_key`, not of a generator's state, so that both runs drop the same elements.

    Args:
        block: Maps `x`, `context` and `dropout_key` to tensors.
        x: float [B, T, D], the input to keep; the gradient flows through it and the weights.
        context: What all blocks share. The gradient flows through its float tensors too: the
            encoder's output, and learned biases in a mask.
        dropout_key: int32 [B, 2], or None.

    Returns:
        What the block returns.

    References:
        Chen et al. 2016, section 4.1, with one segment a block.
    """
    names = [name for name, part in context.items() if part.dtype.is_floating]

    def run(x: tf.Tensor, *parts: tf.Tensor) -> Any:
        return block(x, {**context, **dict(zip(names, parts, strict=True))}, dropout_key)

    return tf.recompute_grad(run)(x, *(context[name] for name in names))
