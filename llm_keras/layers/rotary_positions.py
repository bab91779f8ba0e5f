"""Rotary position embedding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

PAIRINGS = ("halves", "neighbours")


@keras.saving.register_keras_serializable(package="llm_keras")
class RotaryPositions(keras.layers.Layer):
    """Turns pairs of features by an angle that grows with the position.

    For pair ``i`` of ``H / 2`` and position ``p``: ``angle = p * frequency[i]`` with
    ``frequency[i] = max_wavelength ** (-2 i / H)``; features a and b of the pair become
    ``a cos(angle) - b sin(angle)`` and ``b cos(angle) + a sin(angle)``.

    The tables depend on the positions only, so a model calls this layer once a step and every
    block applies them with `rotate`.

    Args:
        head_dim: Features of a head, H; even.
        max_wavelength: The base of the angles. 10,000 as the paper; longer contexts use more.
        pairing: "halves": pair i is features i and i + H/2, as in Llama's published weights;
            "neighbours": features 2i and 2i + 1, as the paper.
        scaling: Fields of `config.RopeScaling`, for contexts longer than in training; None: none.

    Call arguments:
        positions: int32 [B, T] or [T].

    Returns:
        `(cos, sin)`, float32 [B or absent, T, 1, H], to be given to `rotate`.

    >>> tables = RotaryPositions(head_dim=4)(tf.range(3))
    >>> rotate(tf.ones([2, 3, 8, 4]), tables).shape
    TensorShape([2, 3, 8, 4])

    Raises:
        ValueError: `head_dim` is odd, or the pairing is unknown.

    References:
        Su et al. 2021, section 3.2.2. Linear scaling: Chen et al. 2023, section 2.3; "llama3":
        the code published with Llama 3.1, which the paper does not describe.
    """

    def __init__(
        self,
        head_dim: int,
        max_wavelength: float = 10_000.0,
        pairing: str = "halves",
        scaling: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if head_dim % 2:
            raise ValueError(
                f"rotary positions turn pairs: expected an even head_dim, got {head_dim}"
            )
        if pairing not in PAIRINGS:
            raise ValueError(f"expected a pairing of {PAIRINGS}, got {pairing!r}")
        self.head_dim = head_dim
        self.max_wavelength = max_wavelength
        self.pairing = pairing
        self.scaling = None if scaling is None else dict(scaling)

    def call(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes the tables; see the class."""
        pairs = tf.range(0, self.head_dim, 2, dtype=tf.float32)
        frequencies = tf.cast(self.max_wavelength, tf.float32) ** (-pairs / self.head_dim)
        if self.scaling is not None:
            frequencies = scale_frequencies(frequencies, **self.scaling)
        angles = tf.cast(positions, tf.float32)[..., None, None] * frequencies
        cos, sin = tf.cos(angles), tf.sin(angles)
        if self.pairing == "neighbours":
            signs = tf.tile([-1.0, 1.0], [self.head_dim // 2])
            return tf.repeat(cos, 2, axis=-1), tf.repeat(sin, 2, axis=-1) * signs
        return tf.concat([cos, cos], -1), tf.concat([-sin, sin], -1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "max_wavelength": self.max_wavelength,
            "pairing": self.pairing,
            "scaling": self.scaling,
        }


def scale_frequencies(
    frequencies: tf.Tensor,
    kind: str,
    factor: float,
    low_frequency_factor: float,
    high_frequency_factor: float,
    original_sequence_length: int,
) -> tf.Tensor:
    """Slows the rotation of a model trained on shorter rows.

    linear: every frequency is divided by the factor. llama3: only those that turn less than
    `low_frequency_factor` times in the original length; those that turn more than
    `high_frequency_factor` times stay, and between the two the change is gradual.

    Args:
        frequencies: float32 [H / 2], radians a position.
        kind: "linear" or "llama3".
        factor: How many times longer rows become.
        low_frequency_factor: Turns in the original length.
        high_frequency_factor: Turns in the original length.
        original_sequence_length: Tokens.

    Returns:
        float32 [H / 2].
    """
    slowed = frequencies / factor
    if kind == "linear":
        return slowed
    turns = original_sequence_length * frequencies / (2 * math.pi)
    band = high_frequency_factor - low_frequency_factor
    kept = tf.clip_by_value((turns - low_frequency_factor) / band, 0.0, 1.0)
    return (1.0 - kept) * slowed + kept * frequencies


def rotate(x: tf.Tensor, tables: tuple[tf.Tensor, tf.Tensor], pairing: str = "halves") -> tf.Tensor:
    """Turns the heads `x` [..., N, H] by the tables of `RotaryPositions`; keeps x's dtype."""
    cos, sin = tables
    if pairing == "neighbours":
        pairs = tf.stack([x[..., 1::2], x[..., ::2]], axis=-1)
        swapped = tf.reshape(pairs, tf.shape(x))
    else:
        first, second = tf.split(x, 2, axis=-1)
        swapped = tf.concat([second, first], axis=-1)
    turned = tf.cast(x, tf.float32) * cos + tf.cast(swapped, tf.float32) * sin
    return tf.cast(turned, x.dtype)
