"""Rematerialization (gradient checkpointing): memory for time.

What is kept between forward and backward pass is what goes into a recomputed function; the rest is
made a second time when its gradient is due. Dropout masks are a function of `dropout_key`, not of a
generator's state, so that both times the same elements are dropped.

    kind        recomputed as one                kept                         forward passes
    none        nothing                          all of L blocks              1
    attention   each attention with its norm     all but attention's pieces   1, attention 2
    block       each block                       L borders, 1 block           2
    every_n     each n blocks                    L / n borders, n blocks      2
    full        each about sqrt(L) blocks, and   2 sqrt(L) borders, 1 block   3
                in these each block
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from llm_keras import config

#: Maps x float [B, T, D], what all blocks share, and a dropout key to a nest of tensors.
Function = Callable[..., Any]
#: What stands in a model's `run_blocks`: the same of a list of blocks, to (x, sums of the router).
RunBlocks = Callable[[Sequence[Function], tf.Tensor, Any, Any], Any]


def recompute(
    function: Function,
    x: tf.Tensor,
    context: dict[str, tf.Tensor],
    dropout_key: tf.Tensor | None,
) -> Any:
    """Calls a part of a model so that only its inputs are kept for the backward pass.

    Args:
        function: Maps `x`, `context` and `dropout_key` to tensors.
        x: float [B, T, D], the input to keep; the gradient flows through it and the weights.
        context: What all blocks share. The gradient flows through its float tensors too: the
            encoder's output, and learned biases in a mask.
        dropout_key: int32 [B, 2], or None.

    Returns:
        What the function returns.

    References:
        Chen et al. 2016, section 4.
    """
    names = [name for name, part in context.items() if part.dtype.is_floating]

    def run(x: tf.Tensor, *parts: tf.Tensor) -> Any:
        return function(x, {**context, **dict(zip(names, parts, strict=True))}, dropout_key)

    return tf.recompute_grad(run)(x, *(context[name] for name in names))


def install(network: Any, settings: config.Training) -> None:
    """Makes a model, one of `models`, run its blocks as section `training` of a run says."""
    network.run_blocks = around(
        network.run_blocks, settings.rematerialization, settings.rematerialization_blocks
    )


def around(run_blocks: RunBlocks, kind: str, blocks: int = 1) -> RunBlocks:
    """What to put in the place of a model's `run_blocks`.

    Args:
        run_blocks: The model's own.
        kind: "none", "attention", "block", "every_n" or "full"; see the module.
        blocks: n of "every_n".
    """
    if kind == "none":
        return run_blocks
    if kind == "attention":
        return _with_attention(run_blocks)

    def in_groups(
        all_blocks: Sequence[Function], x: tf.Tensor, context: Any, dropout_key: Any
    ) -> Any:
        if kind == "full":
            all_blocks = [partial(recompute, block) for block in all_blocks]
        sizes = {"block": 1, "every_n": blocks, "full": math.isqrt(len(all_blocks))}
        groups = _groups(all_blocks, sizes[kind])
        parts = [partial(recompute, partial(run_blocks, group)) for group in groups]
        return run_blocks(parts, x, context, dropout_key)

    return in_groups


def _with_attention(run_blocks: RunBlocks) -> RunBlocks:
    def run(blocks: Sequence[Function], x: tf.Tensor, context: Any, dropout_key: Any) -> Any:
        parts = [partial(block, attention_call=recompute) for block in blocks]
        return run_blocks(parts, x, context, dropout_key)

    return run


def _groups(blocks: Sequence[Function], size: int) -> list[Sequence[Function]]:
    """Neighbours together, the last group perhaps smaller."""
    return [blocks[first : first + size] for first in range(0, len(blocks), size)]
