"""Sinusoidal position encoding."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.shapes import sizes


@keras.saving.register_keras_serializable(package="llm_keras")
class SinusoidalPositions(keras.layers.Layer):
    """Adds fixed sines and cosines of the position.

    ``P[p, 2i] = sin(p / max_wavelength ** (2i / D))``, ``P[p, 2i + 1] = cos(the same)``,
    ``y[t] = x[t] * sqrt(D) + P[position[t]]``

    The factor sqrt(D) makes a token's vector, whose entries start small, comparable with the sines.

    Args:
        max_wavelength: 10,000 as the paper.

    Call arguments:
        x: float [B, T, D], D even.
        positions: int32 [B, T] or [T].

    Returns:
        float [B, T, D], the dtype of `x`.

    >>> SinusoidalPositions()(tf.zeros([1, 1, 4]), tf.constant([0])).numpy().tolist()
    [[[0.0, 1.0, 0.0, 1.0]]]

    References:
        Vaswani et al. 2017, sections 3.4 (the factor) and 3.5.
    """

    def __init__(self, max_wavelength: float = 10_000.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength

    def call(self, x: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Adds the encoding; see the class."""
        width = x.shape[-1]
        exponents = tf.range(0, width, 2, dtype=tf.float32) / width
        frequencies = tf.cast(self.max_wavelength, tf.float32) ** -exponents
        angles = tf.cast(positions, tf.float32)[..., None] * frequencies
        waves = tf.stack([tf.sin(angles), tf.cos(angles)], axis=-1)
        waves = tf.reshape(waves, [*sizes(positions), width])
        return x * math.sqrt(width) + tf.cast(waves, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "max_wavelength": self.max_wavelength}
