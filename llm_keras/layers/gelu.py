"""The Gaussian error linear unit, with a gradient that keeps its input and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from llm_keras.fusion import fusible

_ROOT = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def gelu(x: tf.Tensor, approximate: bool) -> tf.Tensor:
    """``x * Phi(x)`` with the normal distribution's Phi.

    TensorFlow's gradient of it keeps each piece of the formula for the backward
    pass, five tensors of the widest size in the model; this one keeps `x` and computes the pieces
    again.

    Args:
        x: float, any shape.
        approximate: ``Phi(x) = (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3))) / 2``, as GPT-2;
            else Phi by erf.

    Returns:
        float, the shape and dtype of `x`.

    References:
        Hendrycks and Gimpel 2016, section 2.
    """

    @tf.custom_gradient
    def function(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # Not before it is due: otherwise the forward pass's pieces would be kept and shared.
            with tf.control_dependencies([upstream]):
                return _gradient(tf.identity(x), upstream, approximate=approximate)

        return _value(x, approximate=approximate), gradient

    return function(x)


@fusible
def _value(x: tf.Tensor, *, approximate: bool) -> tf.Tensor:
    return tf.nn.gelu(x, approximate=approximate)


@fusible
def _gradient(x: tf.Tensor, upstream: tf.Tensor, *, approximate: bool) -> tf.Tensor:
    slope = _slope_of_tanh_form if approximate else _slope_of_erf_form
    return upstream * slope(x)


def _slope_of_tanh_form(x: tf.Tensor) -> tf.Tensor:
    # (1 + tanh(u)) / 2 is sigmoid(2 u), which takes fewer passes over memory.
    square = x * x
    phi = tf.sigmoid(x * (2 * _ROOT + (2 * _ROOT * _CUBIC) * square))
    return phi * (1 + x * (1 - phi) * (2 * _ROOT + (6 * _ROOT * _CUBIC) * square))


def _slope_of_erf_form(x: tf.Tensor) -> tf.Tensor:
    density = tf.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return 0.5 * (1 + tf.math.erf(x * math.sqrt(0.5))) + x * density
