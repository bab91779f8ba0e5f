"""Sinusoidal position encoding."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.shapes import sizes

PAIRINGS = ("neighbours", "halves")


@keras.saving.register_keras_serializable(package="llm_keras")
class SinusoidalPositions(keras.layers.Layer):
    """Adds fixed sines and cosines of the position.

    neighbours: ``P[p, 2i] = sin(p w[i])``, ``P[p, 2i + 1] = cos(p w[i])`` with
    ``w[i] = max_wavelength ** (-2i / D)``; halves: ``P[p, i] = sin(p w[i])``,
    ``P[p, D/2 + i] = cos(p w[i])`` with ``w[i] = max_wavelength ** (-i / (D/2 - 1))``.
    ``y[t] = x[t] + P[position[t]]``

    Args:
        max_wavelength: 10,000 as the paper.
        pairing: "neighbours", or "halves".

    Call arguments:
        x: float [B, T, D], D even.
        positions: int32 [B, T] or [T].

    Returns:
        float [B, T, D], the dtype of `x`.

    >>> SinusoidalPositions()(tf.zeros([1, 1, 4]), tf.constant([0])).numpy().tolist()
    [[[0.0, 1.0, 0.0, 1.0]]]

    Raises:
        ValueError: The pairing is unknown.

    References:
        Vaswani et al. 2017, section 3.5, is "neighbours"; the code published with it
        (Tensor2Tensor) and TF Model Garden are "halves", whose slowest wave is `max_wavelength`.
    """

    def __init__(
        self, max_wavelength: float = 10_000.0, pairing: str = "neighbours", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if pairing not in PAIRINGS:
            raise ValueError(f"expected a pairing of {PAIRINGS}, got {pairing!r}")
        self.max_wavelength = max_wavelength
        self.pairing = pairing

    def call(self, x: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Adds the encoding; see the class."""
        width = x.shape[-1]
        waves = width // 2
        if self.pairing == "neighbours":
            exponents = tf.range(waves, dtype=tf.float32) * (2 / width)
        else:
            exponents = tf.range(waves, dtype=tf.float32) / max(waves - 1, 1)
        frequencies = tf.exp(-math.log(self.max_wavelength) * exponents)
        angles = tf.cast(positions, tf.float32)[..., None] * frequencies
        sin, cos = tf.sin(angles), tf.cos(angles)
        if self.pairing == "neighbours":
            encoding = tf.reshape(tf.stack([sin, cos], axis=-1), [*sizes(positions), width])
        else:
            encoding = tf.concat([sin, cos], axis=-1)
        return x + tf.cast(encoding, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "pairing": self.pairing,
        }
