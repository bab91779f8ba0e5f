"""Rotary position embedding."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="llm_keras")
class RotaryPositions(keras.layers.Layer):
    """Turns pairs of features by an angle that grows with the position.

    For pair ``i`` of ``H / 2`` and position ``p``: ``angle = p * max_wavelength ** (-2 i / H)``,
    ``y[i] = x[i] cos(angle) - x[i + H/2] sin(angle)``,
    ``y[i + H/2] = x[i + H/2] cos(angle) + x[i] sin(angle)``.

    The tables depend on the positions only, so a model calls this layer once a step and every
    block applies them with `rotate`.

    Args:
        head_dim: Features of a head, H; even.
        max_wavelength: The base of the angles. 10,000 as the paper; longer contexts use more.

    Call arguments:
        positions: int32 [B, T] or [T].

    Returns:
        `(cos, sin)`, float32 [B or absent, T, 1, H], to be given to `rotate`.

    >>> tables = RotaryPositions(head_dim=4)(tf.range(3))
    >>> rotate(tf.ones([2, 3, 8, 4]), tables).shape
    TensorShape([2, 3, 8, 4])

    Raises:
        ValueError: `head_dim` is odd.

    References:
        Su et al. 2021, section 3.2.2. Differs from the source: the pairs are the two halves of a
        head, as in Llama's published weights, not neighbours.
    """

    def __init__(self, head_dim: int, max_wavelength: float = 10_000.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if head_dim % 2:
            raise ValueError(
                f"rotary positions turn pairs: expected an even head_dim, got {head_dim}"
            )
        self.head_dim = head_dim
        self.max_wavelength = max_wavelength

    def call(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes the tables; see the class."""
        pairs = tf.range(0, self.head_dim, 2, dtype=tf.float32)
        frequencies = tf.cast(self.max_wavelength, tf.float32) ** (-pairs / self.head_dim)
        angles = tf.cast(positions, tf.float32)[..., None, None] * frequencies
        cos, sin = tf.cos(angles), tf.sin(angles)
        return tf.concat([cos, cos], -1), tf.concat([-sin, sin], -1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "max_wavelength": self.max_wavelength,
        }


def rotate(x: tf.Tensor, tables: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Turns the heads `x` [B, T, N, H] by the tables of `RotaryPositions`; keeps x's dtype."""
    cos, sin = tables
    first, second = tf.split(x, 2, axis=-1)
    swapped = tf.concat([second, first], axis=-1)
    turned = tf.cast(x, tf.float32) * cos + tf.cast(swapped, tf.float32) * sin
    return tf.cast(turned, x.dtype)
