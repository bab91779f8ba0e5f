"""Gradients of a causal language model's loss, as sums that can be added before they are divided.

Shapes: B rows, T+1 tokens a row, D hidden size, N = B * T predictions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from llm_keras.training.losses import (
    Head,
    TokenLoss,
    loss_sum,
    loss_sum_and_gradients,
    predictions,
)

Batch = dict[str, tf.Tensor]


class Sums(NamedTuple):
    """Sums over the predictions of a batch, or of several.

    Attributes:
        gradients: Of `loss`, by trainable variable; dense.
        loss: float32 scalar.
        tokens: How many predictions, float32 scalar.
    """

    gradients: list[tf.Tensor]
    loss: tf.Tensor
    tokens: tf.Tensor


def accumulate(network: keras.Model, loss: TokenLoss, batch: Batch, micro_batches: int) -> Sums:
    """Sums over a batch, a micro-batch at a time.

    Args:
        network: A `CausalLM`.
        loss: Loss of a token.
        batch: `tokens` int [B, T+1], `dropout_key` int32 [B, 2], and perhaps `segments` and
            `positions` int [B, T+1].
        micro_batches: Equal parts of the batch; B must be a multiple.
    """
    if micro_batches == 1:
        return differentiate(network, loss, batch)
    parts = {
        name: tf.reshape(value, [micro_batches, -1, *value.shape[1:]])
        for name, value in batch.items()
    }

    def add_part(index: tf.Tensor, sums: Sums) -> tuple[tf.Tensor, Sums]:
        more = differentiate(network, loss, {name: value[index] for name, value in parts.items()})
        return index + 1, tf.nest.map_structure(tf.add, sums, more)

    zeros = [tf.zeros(variable.shape, variable.dtype) for variable in network.trainable_variables]
    _, sums = tf.while_loop(
        lambda index, _: index < micro_batches,
        add_part,
        (0, Sums(zeros, tf.constant(0.0), tf.constant(0.0))),
        parallel_iterations=1,  # The point is to hold one micro-batch at a time.
    )
    return sums


def differentiate(network: keras.Model, loss: TokenLoss, batch: Batch) -> Sums:
    """Sums over one micro-batch.

    The network is differentiated in two pieces: its last step, from hidden states to the loss,
    block by block while the logits are made, and the rest from there.

    Raises:
        ValueError: The loss does not depend on some trainable variable.
    """
    inputs, targets, weights = _predictions(batch)
    head = _head(network)
    variables = network.trainable_variables
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        hidden = network.hidden_states(inputs, dropout_key=batch["dropout_key"])
        hidden = tf.reshape(hidden, [-1, hidden.shape[-1]])
    total, by_hidden, by_head = loss_sum_and_gradients(loss, head, hidden, targets, weights)
    gradients = tape.gradient(hidden, values, output_gradients=by_hidden)

    places = {id(value): place for place, value in enumerate(values)}
    for value, gradient in zip(head.variables, by_head, strict=True):
        place = places[id(value)]  # A tied embedding has both a first and a last step.
        first = gradients[place]
        gradients[place] = gradient if first is None else first + gradient
    unused = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    if unused:
        raise ValueError(f"the loss does not depend on {', '.join(unused)}; freeze or drop them")
    # Dense, because a sum over tokens in a fixed order is the same on every run.
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return Sums(dense, total, tf.reduce_sum(weights))


def cross_entropy_sum(network: keras.Model, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum of the cross-entropies of a batch and the number of predictions, float32 scalars."""
    inputs, targets, weights = _predictions(batch)
    hidden = network.hidden_states(inputs)
    hidden = tf.reshape(hidden, [-1, hidden.shape[-1]])
    total = loss_sum(TokenLoss(), _head(network), hidden, targets, weights)
    return total, tf.reduce_sum(weights)


def _predictions(batch: Batch) -> tuple[Batch, tf.Tensor, tf.Tensor]:
    """The network's inputs [B, T], and targets and weights [N]."""
    tokens, targets, weights = predictions(batch["tokens"], batch.get("segments"))
    inputs = {"tokens": tokens}
    for name in batch.keys() & {"segments", "positions"}:
        inputs[name] = batch[name][:, :-1]
    return inputs, tf.reshape(targets, [-1]), tf.reshape(weights, [-1])


def _head(network: Any) -> Head:
    layer = network.embedding if network.output_projection is None else network.output_projection
    values = [variable.value for variable in layer.trainable_variables]
    return Head(network.logits, values, network.vocabulary_size)
