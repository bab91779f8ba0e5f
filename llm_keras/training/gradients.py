"""Gradients of a model's loss, as sums that can be added before they are divided.

Shapes: B rows, T+1 tokens a row, D hidden size, N predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from llm_keras.models import chain
from llm_keras.models.chain import Carry
from llm_keras.parallel.engine import Engine
from llm_keras.training.loss_scale import LossScale
from llm_keras.training.losses import (
    LEAST_TOKENS,
    LOGITS_PER_BLOCK,
    Head,
    TokenLoss,
    loss_sum,
    loss_sum_and_gradients,
)
from llm_keras.training.objectives import Batch, Examples, Objective

#: Maps the gradient of what parts made to that of what they were given, and those of variables.
Pull = Callable[[Carry], tuple[Carry, list[tf.Tensor]]]


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
        engine: The devices.
        loss_scale: What holds small gradients within float16; None: nothing is scaled.
        jit_compile: Whether XLA compiles what is done with a micro-batch.
    """

    network: Any
    objective: Objective
    loss: TokenLoss
    engine: Engine = Engine()
    loss_scale: LossScale | None = None
    jit_compile: bool = False

    def accumulate(self, batch: Batch, micro_batches: int) -> Sums:
        """Sums over a batch, a micro-batch at a time.

        Args:
            batch: See `objectives`, and `key` int32 [B, 2].
            micro_batches: Equal parts of the batch; B must be a multiple.
        """
        differentiate = self.differentiate
        if self.jit_compile:
            differentiate = tf.function(differentiate, autograph=False, jit_compile=True)
        if micro_batches == 1:
            return differentiate(batch)
        parts = self.engine.micro_batches(batch, micro_batches)

        def add_part(index: tf.Tensor, sums: Sums) -> tuple[tf.Tensor, Sums]:
            more = differentiate({name: tf.gather(value, index) for name, value in parts.items()})
            return index + 1, tf.nest.map_structure(tf.add, sums, more)

        variables = self.network.trainable_variables
        zeros = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
        state = (0, Sums(self.engine.place_gradients(zeros, variables), *[tf.constant(0.0)] * 5))
        if not self.engine.loops:
            for _ in range(micro_batches):
                state = add_part(*state)
            return state[1]
        return tf.while_loop(
            lambda index, _: index < micro_batches,
            add_part,
            state,
            parallel_iterations=1,  # The point is to hold one micro-batch at a time.
        )[1]

    def differentiate(self, batch: Batch) -> Sums:
        """Sums over one micro-batch.

        Raises:
            ValueError: The loss does not depend on some trainable variable.
        """
        return self.finish(slice(None), {}, batch)[1]

    def parts(self) -> list[tuple[str, list[keras.Variable]]]:
        """The parts of the network's chain: name, and variables that it and its gradient read."""
        scale = [] if self.loss_scale is None else self.loss_scale.variables[:1]
        return [(part.name, [*chain.variables(part), *scale]) for part in self.network.chain()]

    def trained(self, where: slice) -> list[keras.Variable]:
        """What is learnt of neighbouring parts, in the order of `network.trainable_variables`.

        Raises:
            ValueError: Some trainable variable belongs to no part.
        """
        read = {id(v) for part in self.network.chain()[where] for v in chain.variables(part)}
        variables = self.network.trainable_variables
        if where == slice(None):
            _refuse_unused(v for v in variables if id(v) not in read)
        return [v for v in variables if id(v) in read]

    def run(self, where: slice, carry: Carry, inputs: Batch, key: tf.Tensor | None = None) -> Carry:
        """Runs neighbouring parts, see `models.chain.run`; `inputs` as the network's."""
        return chain.run(self.network.chain()[where], carry, inputs, key, self.network.run_blocks)

    def forward(self, where: slice, carry: Carry, batch: Batch) -> Carry:
        """Runs neighbouring parts for training."""
        return self.run(where, carry, self.objective.examples(batch).inputs, batch["key"])

    def through(self, where: slice, carry: Carry, batch: Batch) -> tuple[Carry, Pull]:
        """As `forward`, with the way back.

        Returns:
            What the parts make, and a function of its gradient, which gives the gradient by `carry`
            and those by `trained(where)`; the first two scaled, see `LossScale`.
        """
        variables = self.trained(where)
        values = [variable.value for variable in variables]
        with tf.GradientTape() as tape:
            tape.watch([*values, *carry.values()])  # In a stateless scope values are tensors.
            outputs = self.forward(where, carry, batch)

        def pull(by_outputs: Carry) -> tuple[Carry, list[tf.Tensor]]:
            names = sorted(outputs)
            by_carry, gradients = _pull(
                tape, [outputs[n] for n in names], [by_outputs[n] for n in names], carry, values
            )
            scale = self._scale(self.objective.examples(batch))
            return by_carry, self._whole(variables, gradients, scale)

        return outputs, pull

    def finish(self, where: slice, carry: Carry, batch: Batch) -> tuple[Carry, Sums]:
        """From what the parts before the last ones made, to the loss and back.

        The parts are differentiated in two pieces: the last step, from hidden states to the loss,
        block by block while the logits are made, and the rest from there.

        Returns:
            The gradient by `carry`, scaled, and the sums, with gradients by `trained(where)`.
        """
        examples = self.objective.examples(batch)
        head, variables = self._head(), self.trained(where)
        values = [variable.value for variable in variables]
        by_router = _router_weights(self.network, self.objective)
        with tf.GradientTape() as tape:
            tape.watch([*values, *carry.values()])
            outputs = self.run(where, carry, examples.inputs, batch["key"])
            hidden, router = examples.predicting(outputs["x"]), outputs["router"]
        scale = self._scale(examples)
        total, by_hidden, by_head = loss_sum_and_gradients(
            self.loss, head, hidden, examples.targets, _times(examples.weights, scale)
        )
        made, by_made = [hidden], [by_hidden]
        if by_router is not None:
            made, by_made = [hidden, router], [by_hidden, _times(by_router, scale)]
        by_carry, gradients = _pull(tape, made, by_made, carry, values)
        places = {id(value): place for place, value in enumerate(values)}
        for value, gradient in zip(head.variables, by_head, strict=True):
            place = places[id(value)]  # A tied embedding has both a first and a last step.
            first = gradients[place]
            gradients[place] = gradient if first is None else first + gradient
        router_loss = tf.constant(0.0) if by_router is None else tf.tensordot(router, by_router, 1)
        return by_carry, Sums(
            self._whole(variables, gradients, scale),
            total if scale is None else total / scale,
            router_loss,
            tf.reduce_sum(examples.weights),
            router[2],
            examples.routed,
        )

    def _whole(
        self,
        variables: list[keras.Variable],
        gradients: list[tf.Tensor | None],
        scale: tf.Tensor | None,
    ) -> list[tf.Tensor]:
        """Gradients of all variables, dense, where they are summed up; not scaled any more."""
        _refuse_unused(v for v, g in zip(variables, gradients, strict=True) if g is None)
        # Dense, because a sum over tokens in a fixed order is the same on every run.
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        if scale is not None:
            dense = [gradient / scale for gradient in dense]
        return self.engine.place_gradients(dense, variables)

    def _scale(self, examples: Examples) -> tf.Tensor | None:
        """What the losses of a micro-batch are multiplied with."""
        if self.loss_scale is None:
            return None
        return self.loss_scale.factor(examples.weights.shape[0])

    def cross_entropy(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum of the cross-entropies of a batch and the number of predictions, float32 scalars."""
        examples = self.objective.examples(batch)

        def judge(carry: Carry) -> tuple[tf.Tensor, tf.Tensor]:
            hidden = examples.predicting(carry["x"])
            total = loss_sum(TokenLoss(), self._head(), hidden, examples.targets, examples.weights)
            return total, tf.reduce_sum(examples.weights)

        return self.engine.run(self, examples.inputs, judge)

    def logits(self, inputs: Batch) -> tf.Tensor:
        """What the network predicts from its inputs."""
        return self.engine.run(self, inputs, lambda carry: self.network.logits(carry["x"]))

    def shapes(self, rows: int) -> dict[str, tf.TensorSpec]:
        """What a batch of so many rows of the greatest length is made of, at least."""
        length = self.network.sequence_length
        shapes = {"tokens": [rows, length + 1], "key": [rows, 2]}
        if self.network.settings.kind == "encoder_decoder":
            shapes["source"] = [rows, length]
        return {name: tf.TensorSpec(shape, tf.int32) for name, shape in shapes.items()}

    def loss_bytes(self, rows: int) -> int:
        """Of the logits that are held at once in a batch of so many rows, with their gradient."""
        size, tokens = self.network.vocabulary_size, rows * self.network.sequence_length
        at_once = min(tokens, max(LEAST_TOKENS, LOGITS_PER_BLOCK // size))
        return 2 * at_once * size * tf.float32.size

    def _head(self) -> Head:
        network = self.network
        values = [variable.value for variable in network.head_variables]
        return Head(network.logits, values, network.vocabulary_size, self.engine.whole_logits)


def _refuse_unused(variables: Iterable[keras.Variable]) -> None:
    paths = [variable.path for variable in variables]
    if paths:
        raise ValueError(f"the loss does not depend on {', '.join(paths)}; freeze or drop them")


def _times(x: tf.Tensor, scale: tf.Tensor | None) -> tf.Tensor:
    return x if scale is None else x * scale


def _pull(
    tape: tf.GradientTape,
    made: list[tf.Tensor],
    by_made: list[tf.Tensor],
    carry: Carry,
    values: list[Any],
) -> tuple[Carry, list[tf.Tensor | None]]:
    """The gradients by what went in, zero where nothing depends on it, and by variables."""
    gradients = tape.gradient(made, [*values, *carry.values()], output_gradients=by_made)
    by_carry = {
        name: tf.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(carry.items(), gradients[len(values) :], strict=True)
    }
    return by_carry, gradients[: len(values)]


def _router_weights(network: Any, objective: Objective) -> tf.Tensor | None:
    """What `Forward.router` adds to the loss by element, float32 [3]; None without experts."""
    experts = network.settings.experts
    if experts is None:
        return None
    weights = tf.constant([experts.load_balance_loss, experts.router_z_loss, 0.0])
    return weights * objective.router_weight
