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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
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
    weights = _stood_in_for(function)

    def run(x: tf.Tensor, *given: tf.Tensor) -> Any:
        parts, values = given[: len(names)], given[len(names) :]
        full = {**context, **dict(zip(names, parts, strict=True))}
        if not weights:
            return function(x, full, dropout_key)
        with keras.StatelessScope(zip(weights, values, strict=True)):
            return function(x, full, dropout_key)

    values = [weight.value for weight in weights]
    return _again(run)(x, *(context[name] for name in names), *values)


def _again(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `tf.recompute_grad`, but part after part.

    That one gives out the gradient by its arguments as soon as it is there. The part before would
    then be made again while the gradients by this part's weights are not done yet, for which most
    of what was made must be held.
    """

    @tf.custom_gradient
    def call(*args: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        def gradient(*upstream: tf.Tensor, variables: Sequence[Any] | None = None) -> Any:
            copies = _not_before(args, upstream[0])
            weights = list(variables or ())
            with tf.GradientTape() as tape:
                tape.watch([*copies, *weights])
                made = function(*copies)
            gradients = tape.gradient(
                made,
                [*copies, *weights],
                output_gradients=tf.nest.pack_sequence_as(made, upstream),
                unconnected_gradients="zero",
            )
            gradients = [tf.convert_to_tensor(part) for part in gradients]
            with tf.control_dependencies(gradients):
                by_args = [tf.identity(part) for part in gradients[: len(args)]]
            by_weights = gradients[len(args) :]
            return by_args if variables is None else (by_args, by_weights)

        return function(*args), gradient

    return call


def _not_before(tensors: Sequence[tf.Tensor], upstream: tf.Tensor) -> list[tf.Tensor]:
    """The same numbers, but what is made of them is made after `upstream`, and not taken over.

    By arithmetic, because XLA and DTensor know no control dependencies.
    """
    known = tf.reduce_max(upstream)
    zero = tf.where(tf.equal(known, known), 0.0, np.nan)  # 0, but only who computes it knows
    return [tensor + tf.cast(zero, tensor.dtype) for tensor in tensors]


def _stood_in_for(function: Any) -> list[keras.Variable]:
    """The variables of a function's layers that a stateless scope gives other values.

    As tensors they must be arguments of what is recomputed: a gradient flows to a TensorFlow
    variable from anywhere, to a tensor only from there.
    """
    variables = {id(v): v for layer in _layers(function) for v in layer.variables}
    return [v for v in variables.values() if not isinstance(v.value, tf.Variable)]


def _layers(function: Any) -> Iterator[keras.layers.Layer]:
    """What a function calls: layers, their methods, and partial calls and lists of these."""
    if isinstance(function, keras.layers.Layer):
        yield function
    elif isinstance(function, partial):
        for part in (function.func, *function.args):
            yield from _layers(part)
    elif isinstance(function, (list, tuple)):
        for part in function:
            yield from _layers(part)
    elif hasattr(function, "__self__"):
        yield from _layers(function.__self__)


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
