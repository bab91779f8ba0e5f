"""Attention with linear biases."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="llm_keras")
class AlibiPositions(keras.layers.Layer):
    """Lowers a score in proportion to the distance of query and key.

    ``bias[n, d] = -slope[n] |d|``, where the slopes of N heads are ``2 ** (-8 n / N)``,
    n = 1...N, if N is a power of two; else those of the next lower power, and after them every
    second one of the next higher.

    Args:
        num_heads: N.

    Call arguments:
        length: T, most places; an integer or an int32 scalar.

    Returns:
        float32 [N, 2 T - 1]: the bias of a key d places after its query at ``d + T - 1``, as
        `masks.RowMask` takes it.

    >>> AlibiPositions(num_heads=2)(length=2).numpy().tolist()
    [[-0.0625, -0.0, -0.0625], [-0.00390625, -0.0, -0.00390625]]

    References:
        Press et al. 2022, section 3; slopes of other N: the code published with it. Differs from
        the source: without a causal mask, keys after the query are lowered alike.
    """

    def __init__(self, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def call(self, length: int | tf.Tensor) -> tf.Tensor:
        """Makes the biases; see the class."""
        distance = tf.abs(tf.range(1 - length, length))
        return -tf.constant(slopes(self.num_heads))[:, None] * tf.cast(distance, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "num_heads": self.num_heads}


def slopes(num_heads: int) -> list[float]:
    """The slope of each head.

    >>> slopes(3)
    [0.0625, 0.00390625, 0.25]
    """
    lower = 2 ** math.floor(math.log2(num_heads))
    regular = [2 ** (-8 * n / lower) for n in range(1, lower + 1)]
    between = [2 ** (-4 * n / lower) for n in range(1, 2 * lower + 1, 2)]
    return regular + between[: num_heads - lower]
