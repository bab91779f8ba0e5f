"""A running mean of the weights, which is often better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from llm_keras.parallel.engine import Engine


class WeightAverage:
    """Exponential moving average of variables.

    ``average = average + (1 - d) * (weight - average)``, ``d = min(decay, (1 + t) / (10 + t))``

    after update t. The smaller d of the first updates lets go of the initial weights.

    To be made under the strategy's scope, after the variables.

    Args:
        variables: What is averaged.
        decay: Largest d.
        engine: The devices that the variables are on.

    Attributes:
        averages: One variable for each of `variables`.

    References:
        Polyak and Juditsky 1992; d as TensorFlow's `tf.train.ExponentialMovingAverage`.
    """

    def __init__(
        self, variables: Sequence[keras.Variable], decay: float, engine: Engine | None = None
    ) -> None:
        self.decay = decay
        self.engine = engine or Engine()
        self.variables = list(variables)
        self.averages = [
            keras.Variable(
                self.engine.value(variable),
                dtype=variable.dtype,
                trainable=False,
                aggregation="only_first_replica",  # they are all the same
                name=variable.path.replace("/", "_"),
            )
            for variable in variables
        ]
        self.engine.place_averages(self.averages, self.variables)

    def reset(self) -> None:
        """Begins anew from the weights as they are."""
        for variable, average in zip(self.variables, self.averages, strict=True):
            self.engine.assign(average, self.engine.value(variable))

    def update(self, updates: tf.Tensor) -> None:
        """Takes the weights in; in replica context, after update number `updates`."""
        done = tf.cast(updates, tf.float32)
        decay = tf.minimum(self.decay, (1.0 + done) / (10.0 + done))

        def move(average: keras.Variable, variable: keras.Variable) -> None:
            mean = tf.convert_to_tensor(average)
            average.assign(mean + (1.0 - decay) * (tf.convert_to_tensor(variable) - mean))

        self.engine.each(move, self.averages, self.variables)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the averages into the variables, and afterwards every bit of the weights back."""
        engine = self.engine
        weights = [engine.value(variable) for variable in self.variables]
        for variable, average in zip(self.variables, self.averages, strict=True):
            engine.assign(variable, engine.value(average))
        try:
            yield
        finally:
            for variable, weight in zip(self.variables, weights, strict=True):
                engine.assign(variable, weight)
