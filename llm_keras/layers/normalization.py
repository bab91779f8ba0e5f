"""The normalizations: Keras's layers with a gradient of their own, and named dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from llm_keras.fusion import fusible
from llm_keras.layers.dimensions import name_dimensions


@keras.saving.register_keras_serializable(package="llm_keras")
class RMSNorm(keras.layers.RMSNormalization):
    """``y = x / sqrt(mean(x**2) + epsilon) * scale``, all in float32.

    References:
        Zhang and Sennrich 2019, section 4.
    """

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `scale` [D]."""
        super().build(input_shape)
        name_dimensions(self.scale, "hidden")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalizes the last axis; see the class."""
        return normalize(x, tf.convert_to_tensor(self.scale), None, self.epsilon)


@keras.saving.register_keras_serializable(package="llm_keras")
class LayerNorm(keras.layers.LayerNormalization):
    """``y = (x - mean(x)) / sqrt(variance(x) + epsilon) * gamma + beta``, all in float32.

    References:
        Ba, Kiros and Hinton 2016, section 3.
    """

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `gamma` and `beta` [D]."""
        super().build(input_shape)
        for variable in self.weights:
            name_dimensions(variable, "hidden")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalizes the last axis; see the class."""
        gain, shift = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        return normalize(x, gain, shift, self.epsilon)


def normalization(kind: str, epsilon: float, **kwargs: Any) -> keras.layers.Layer:
    """`RMSNorm` for "rms_norm", `LayerNorm` for "layer_norm".

    Raises:
        ValueError: `kind` is neither.
    """
    layers = {"rms_norm": RMSNorm, "layer_norm": LayerNorm}
    if kind not in layers:
        raise ValueError(f"expected a normalization of {tuple(layers)}, got {kind!r}")
    return layers[kind](epsilon=epsilon, **kwargs)


def normalize(x: tf.Tensor, gain: tf.Tensor, shift: tf.Tensor | None, epsilon: float) -> tf.Tensor:
    """What both layers do: with a shift, the mean is taken out first.

    The gradient keeps `x` and computes its statistics again; TensorFlow's keeps every step.

    Args:
        x: float [..., D].
        gain: float [D].
        shift: float [D].
        epsilon: Added to the mean square.

    Returns:
        float [..., D], the dtype of `x`.
    """

    @tf.custom_gradient
    def function(x: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            found = _gradients(x, upstream, weights[0], epsilon=epsilon, centered=len(weights) == 2)
            return list(found[: 1 + len(weights)])

        return _value(x, *weights, epsilon=epsilon), gradient

    return function(x, gain) if shift is None else function(x, gain, shift)


@fusible
def _value(x: tf.Tensor, gain: tf.Tensor, *shift: tf.Tensor, epsilon: float) -> tf.Tensor:
    standard, _ = _standardize(x, epsilon, centered=bool(shift))
    y = standard * tf.cast(gain, tf.float32)
    return tf.cast(y + tf.cast(shift[0], tf.float32) if shift else y, x.dtype)


@fusible
def _gradients(
    x: tf.Tensor, upstream: tf.Tensor, gain: tf.Tensor, *, epsilon: float, centered: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """By `x`, gain and shift."""
    standard, factor = _standardize(x, epsilon, centered=centered)
    given = tf.cast(upstream, tf.float32)
    through = given * tf.cast(gain, tf.float32)
    by_x = through - standard * tf.reduce_mean(through * standard, -1, keepdims=True)
    if centered:
        by_x -= tf.reduce_mean(through, -1, keepdims=True)
    rows = list(range(x.shape.rank - 1))
    by_gain, by_shift = (tf.reduce_sum(part, rows) for part in (given * standard, given))
    return (
        tf.cast(by_x * factor, x.dtype),
        tf.cast(by_gain, gain.dtype),
        tf.cast(by_shift, gain.dtype),
    )


def _standardize(x: tf.Tensor, epsilon: float, *, centered: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """`x` with unit mean square, and what it was multiplied by, float32 [..., 1]."""
    x = tf.cast(x, tf.float32)
    if centered:
        x -= tf.reduce_mean(x, -1, keepdims=True)
    factor = tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + epsilon)
    return x * factor, factor
