"""Shapes that keep what is known when a graph is made."""

from __future__ import annotations

import tensorflow as tf


def sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The size of each axis: a number where it is known, else a scalar tensor.

    >>> sizes(tf.zeros([2, 3]))
    [2, 3]
    """
    if x.shape.is_fully_defined():
        return list(x.shape)
    dynamic = tf.unstack(tf.shape(x))
    return [known or size for known, size in zip(x.shape, dynamic, strict=True)]
