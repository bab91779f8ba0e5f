"""Gradients of a model's loss, as sums that can be added before they are divided.

Shapes: B rows, T+1 tokens a row, D hidden size, N predictions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras.training.losses import (
    Head,
    TokenLoss,
    loss_sum,
    loss_sum_and_gradients,
)
from llm_keras.training.objectives import Batch, Objective


class Sums(NamedTuple):
    """Sums over the predictions of a batch, or of several.

    Attributes:
        gradients: Of `loss` and `router_loss`, by trainable variable; dense.
        loss: float32 scalar.
        router_loss: float32 scalar, what experts add: load balance and z, weighted.
        tokens: How many predictions, float32 scalar.
        dropped: Choices of an expert that found no room, float32 scalar.
        routed: Tokens that experts saw, summed over layers, float32 scalar.
    """

    gradients: list[tf.Tensor]
    loss: tf.Tensor
    router_loss: tf.Tensor
    tokens: tf.Tensor
    dropped: tf.Tensor
    routed: tf.Tensor


class Learner(NamedTuple):
    """What a gradient is made of, whatever devices it is made on.

    Attributes:
        network: One of `models`.
        objective: What it must predict.
        loss: Loss of a token.
    """

    network: Any
    objective: Objective
    loss: TokenLoss

    def accumulate(self, batch: Batch, micro_batches: int) -> Sums:
        """Sums over a batch, a micro-batch at a time.

        Args:
            batch: See `objectives`, and `key` int32 [B, 2].
            micro_batches: Equal parts of the batch; B must be a multiple.
        """
        if micro_batches == 1:
            return self.differentiate(batch)
        parts = {
            name: tf.reshape(value, [micro_batches, -1, *value.shape[1:]])
            for name, value in batch.items()
        }

        def add_part(index: tf.Tensor, sums: Sums) -> tuple[tf.Tensor, Sums]:
            more = self.differentiate({name: value[index] for name, value in parts.items()})
            return index + 1, tf.nest.map_structure(tf.add, sums, more)

        variables = self.network.trainable_variables
        zeros = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
        _, sums = tf.while_loop(
            lambda index, _: index < micro_batches,
            add_part,
            (0, Sums(zeros, *[tf.constant(0.0)] * 5)),
            parallel_iterations=1,  # The point is to hold one micro-batch at a time.
        )
        return sums

    def differentiate(self, batch: Batch) -> Sums:
        """Sums over one micro-batch.

        The network is differentiated in two pieces: its last step, from hidden states to the loss,
        block by block while the logits are made, and the rest from there.

        Raises:
            ValueError: The loss does not depend on some trainable variable.
        """
        examples = self.objective.examples(batch)
        head = _head(self.network)
        variables = self.network.trainable_variables
        values = [variable.value for variable in variables]
        by_router = _router_weights(self.network, self.objective)
        with tf.GradientTape() as tape:
            hidden, router = self.network.forward(examples.inputs, dropout_key=batch["key"])
            hidden = examples.predicting(hidden)
        total, by_hidden, by_head = loss_sum_and_gradients(
            self.loss, head, hidden, examples.targets, examples.weights
        )
        outputs, by_outputs = [hidden], [by_hidden]
        if by_router is not None:
            outputs, by_outputs = [hidden, router], [by_hidden, by_router]
        gradients = tape.gradient(outputs, values, output_gradients=by_outputs)

        places = {id(value): place for place, value in enumerate(values)}
        for value, gradient in zip(head.variables, by_head, strict=True):
            place = places[id(value)]  # A tied embedding has both a first and a last step.
            first = gradients[place]
            gradients[place] = gradient if first is None else first + gradient
        unused = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
        if unused:
            raise ValueError(
                f"the loss does not depend on {', '.join(unused)}; freeze or drop them"
            )
        # Dense, because a sum over tokens in a fixed order is the same on every run.
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        router_loss = tf.constant(0.0) if by_router is None else tf.tensordot(router, by_router, 1)
        tokens = tf.reduce_sum(examples.weights)
        return Sums(dense, total, router_loss, tokens, router[2], examples.routed)

    def cross_entropy(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum of the cross-entropies of a batch and the number of predictions, float32 scalars."""
        examples = self.objective.examples(batch)
        hidden = examples.predicting(self.network.hidden_states(examples.inputs))
        total = loss_sum(
            TokenLoss(), _head(self.network), hidden, examples.targets, examples.weights
        )
        return total, tf.reduce_sum(examples.weights)


def _head(network: Any) -> Head:
    values = [variable.value for variable in network.head_variables]
    return Head(network.logits, values, network.vocabulary_size)


def _router_weights(network: Any, objective: Objective) -> tf.Tensor | None:
    """What `Forward.router` adds to the loss by element, float32 [3]; None without experts."""
    experts = network.settings.experts
    if experts is None:
        return None
    weights = tf.constant([experts.load_balance_loss, experts.router_z_loss, 0.0])
    return weights * objective.router_weight
