"""Adafactor: a second moment that takes the memory of a row and a column, not of a matrix."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.training.rate_factors import RateFactors


@keras.saving.register_keras_serializable(package="llm_keras")
class Adafactor(RateFactors):
    """Divides the gradient by a factored root mean square, and steps in units of the weights.

    For a matrix X with gradient G at step t, squares and roots by element::

        b = 1 - t**-0.8
        R = b R + (1 - b) mean(G**2 + e1, over columns)
        C = b C + (1 - b) mean(G**2 + e1, over rows)
        U = G / sqrt(R C / mean(R))
        X = X - rate max(e2, rms(X)) U / max(1, rms(U) / d)

    A vector has the whole second moment instead of R and C; of an array with more axes, each matrix
    of its last two has its own.

    Args:
        learning_rate: Number or schedule: the paper's relative step size.
        decay_exponent: 0.8 above.
        epsilon_1: e1, in units of a squared gradient.
        epsilon_2: e2, so that weights that are zero can leave it.
        clip_threshold: d.
        weight_decay: Decoupled, as AdamW's; None: none.
        name: First part of the slots' paths.

    References:
        Shazeer and Stern 2018, algorithms 4 and 5.

    Differs from the source: the run's schedule is the relative step size, which the paper sets to
    min(0.01, 1 / sqrt(t)). Differs from Keras's `Adafactor`, which takes that root even where a
    schedule is given, and keeps an array of the matrix's size, the memory that the factors save.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-2,
        decay_exponent: float = 0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        weight_decay: float | None = None,
        name: str = "adafactor",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, name=name, **kwargs)
        self.decay_exponent = decay_exponent
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes the slots: R and C of a matrix, the whole moment of a vector."""
        if self.built:
            return
        super().build(variables)
        self._moments = [self._slots(variable) for variable in variables]

    def _slots(self, variable: keras.Variable) -> list[keras.Variable]:
        shape = tuple(variable.shape)
        shapes = {"moment": shape}
        if len(shape) > 1:
            shapes = {"rows": shape[:-1], "columns": (*shape[:-2], shape[-1])}
        path = variable.path.replace("/", "_")
        with self._distribution_strategy.extended.colocate_vars_with(variable.value):
            return [
                self.add_variable(sizes, dtype=variable.dtype, name=f"{path}_{name}")
                for name, sizes in shapes.items()
            ]

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """One variable's update; called by Keras."""
        step = tf.cast(self.iterations + 1, gradient.dtype)
        kept = 1.0 - step**-self.decay_exponent
        square = tf.square(gradient) + self.epsilon_1
        moments = self._moments[self._get_variable_index(variable)]
        means = [square]
        if len(moments) == 2:
            means = [tf.reduce_mean(square, axis) for axis in (-1, -2)]
        for moment, mean in zip(moments, means, strict=True):
            self.assign(moment, kept * moment + (1.0 - kept) * mean)
        update = gradient * _inverse_root(*(tf.convert_to_tensor(moment) for moment in moments))
        update /= tf.maximum(1.0, _root_mean_square(update) / self.clip_threshold)
        size = tf.maximum(self.epsilon_2, _root_mean_square(variable))
        self.assign_sub(variable, self.rate_of(variable, learning_rate) * size * update)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("decay_exponent", "epsilon_1", "epsilon_2", "clip_threshold")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _inverse_root(rows: tf.Tensor, columns: tf.Tensor | None = None) -> tf.Tensor:
    """One divided by the root of the second moment that R and C give, or of the whole one."""
    if columns is None:
        return tf.math.rsqrt(rows)
    rows /= tf.reduce_mean(rows, axis=-1, keepdims=True)
    return tf.math.rsqrt(rows)[..., :, None] * tf.math.rsqrt(columns)[..., None, :]


def _root_mean_square(x: Any) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(x)))
