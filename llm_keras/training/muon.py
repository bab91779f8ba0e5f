"""Muon: momentum whose matrices are made orthogonal before they are applied."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.placement import pin
from llm_keras.training.rate_factors import RateFactors

#: Coefficients of the iteration: singular values from 0.01 up come near 1 in `ITERATIONS` steps.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


@keras.saving.register_keras_serializable(package="llm_keras")
class Muon(RateFactors, keras.optimizers.AdamW):
    """Moves matrices by the nearest orthogonal matrix to their momentum, the rest by AdamW.

    For a matrix W [in, out] with gradient G::

        M = m M + G
        W = W - muon_rate sqrt(max(1, out / in)) orthogonal(G + m M)

    Decay is AdamW's for all variables: by `learning_rate`, not by Muon's own rate, so that
    `weight_decay` means the same for all.

    Args:
        learning_rate: Number or schedule, of the variables that AdamW moves.
        muon_rate_factor: Muon's rate as a multiple of `learning_rate`, at every step.
        momentum: m.
        name: First part of the slots' paths.
        **kwargs: Of `keras.optimizers.AdamW`.

    References:
        Jordan 2024, "Muon: An optimizer for hidden layers in neural networks", with Nesterov's
        momentum. The factor for tall matrices is that of its code.

    Differs from Keras's `Muon`, which leaves arrays of several matrices (experts) to AdamW, decays
    at one rate and steps at another, and cannot be told which variables are hidden matrices.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        muon_rate_factor: float = 20.0,
        momentum: float = 0.95,
        name: str = "muon",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.muon_rate_factor = muon_rate_factor
        self.momentum = momentum
        self._orthogonal: frozenset[str] = frozenset()

    def orthogonalize(self, variables: Iterable[keras.Variable]) -> None:
        """Chooses the matrices, or arrays of matrices, that Muon moves; before `build`."""
        self._orthogonal = frozenset(self._var_key(variable) for variable in variables)

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes the slots: a momentum of each variable, and AdamW's velocity where it is due."""
        if self.built:
            return
        keras.Optimizer.build(self, variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        self._velocities = [
            None if self._is_orthogonal(v) else self.add_variable_from_reference(v, "velocity")
            for v in variables
        ]

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """One variable's update; called by Keras."""
        rate = self.rate_of(variable, learning_rate)
        if not self._is_orthogonal(variable):
            super().update_step(gradient, variable, rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.momentum * momentum + gradient)
        axes = [None] * len(variable.shape)  # of the matrix, not of a device's piece of it
        whole = pin(gradient + self.momentum * momentum, *axes)
        update = pin(orthogonal(whole), *axes)
        wide = math.sqrt(max(1.0, variable.shape[-1] / variable.shape[-2]))
        self.assign_sub(variable, rate * self.muon_rate_factor * wide * update)

    def _is_orthogonal(self, variable: Any) -> bool:
        return self._var_key(variable) in self._orthogonal

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("muon_rate_factor", "momentum")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def orthogonal(matrix: tf.Tensor) -> tf.Tensor:
    """About ``U @ V.T`` of a matrix ``U @ diag(s) @ V.T``: its singular values come near 1.

    ``X = a X + (b X X^T + c (X X^T)**2) X``, from ``X = matrix / norm(matrix)`` on

    Args:
        matrix: float [..., n, m].

    Returns:
        float [..., n, m]; singular values between 0.6 and 1.3, but those of less than a hundredth
        of the norm fall short.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[-2] > matrix.shape[-1]  # The products are of the shorter side's size.
    x = tf.linalg.matrix_transpose(matrix) if tall else matrix
    x /= tf.norm(x, axis=[-2, -1], keepdims=True) + 1e-7
    for _ in range(ITERATIONS):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return tf.linalg.matrix_transpose(x) if tall else x
