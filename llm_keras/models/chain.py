"""A model as parts that follow each other, so that it can be run whole or in pieces.

B rows, S positions of a source, T positions, D hidden.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from llm_keras import layers
from llm_keras.layers.attention import Context

Inputs = Mapping[str, tf.Tensor]
#: What a part hands to the next: `x` float [B, T, D]; `router` float32 [3], the sums of
#: `MixtureOfExperts` so far; behind an encoder also `memory` float [B, S, D].
Carry = dict[str, tf.Tensor]
#: A block, or what stands for one.
BlockCall = Callable[[tf.Tensor, Context, tf.Tensor | None], layers.BlockOutput]
RunBlocks = Callable[
    [Sequence[BlockCall], tf.Tensor, Context, tf.Tensor | None], layers.BlockOutput
]


class Part(NamedTuple):
    """A piece of a model that is always run whole.

    Attributes:
        name: Tells it from the others.
        layers: Those whose variables it reads. A tied embedding is in two parts.
        run: Maps what the part before made, the batch and a dropout key to what the next one takes.
    """

    name: str
    layers: Sequence[keras.layers.Layer]
    run: Callable[[Carry, Inputs, tf.Tensor | None], Carry]


class BlockPart(NamedTuple):
    """A block of a stack. Neighbours are called together, by `run_blocks`.

    Attributes:
        name: Tells it from the others.
        layers: The block, and those whose variables are in the context.
        block: What is called.
        context: Makes what the blocks of the stack share, such as masks, of what the part before
            made and the batch; the same function in all of them.
    """

    name: str
    layers: Sequence[keras.layers.Layer]
    block: BlockCall
    context: Callable[[Carry, Inputs], Context]


def stack(
    blocks: Sequence[keras.layers.Layer],
    context: Callable[[Carry, Inputs], Context],
    *shared: keras.layers.Layer,
) -> list[BlockPart]:
    """The parts of a stack of blocks; the context reads the variables of `shared`."""
    return [BlockPart(block.name, (block, *shared), block, context) for block in blocks]


def variables(part: Part | BlockPart) -> list[keras.Variable]:
    """What a part reads."""
    return [variable for layer in part.layers for variable in layer.variables]


def run_blocks(
    blocks: Sequence[BlockCall], x: tf.Tensor, context: Context, dropout_key: tf.Tensor | None
) -> layers.BlockOutput:
    """Block after block: what the last gives, and the router's sums over all."""
    router = tf.zeros([3])
    for block in blocks:
        x, sums = block(x, context, dropout_key)
        router += sums
    return layers.BlockOutput(x, router)


def run(
    parts: Sequence[Part | BlockPart],
    carry: Carry,
    inputs: Inputs,
    dropout_key: tf.Tensor | None = None,
    run_blocks: RunBlocks = run_blocks,
) -> Carry:
    """Runs neighbouring parts.

    Args:
        parts: Some of a model's chain.
        carry: What the part before them made; of the first part, nothing.
        inputs: The batch.
        dropout_key: int32 [B, 2], see `layers.KeyedDropout`; None: no training, no dropout.
        run_blocks: How neighbouring blocks are called.
    """

    def context_of(part: Part | BlockPart) -> Callable[[Carry, Inputs], Context] | None:
        return part.context if isinstance(part, BlockPart) else None

    for context, group in itertools.groupby(parts, context_of):
        members = list(group)
        blocks = [part.block for part in members if isinstance(part, BlockPart)]
        if context is not None:
            x, router = run_blocks(blocks, carry["x"], context(carry, inputs), dropout_key)
            carry = {**carry, "x": x, "router": carry["router"] + router}
        for part in members:
            if isinstance(part, Part):
                carry = part.run(carry, inputs, dropout_key)
    return carry
