"""Shapes that keep what is known when a graph is made."""

from __future__ import annotations

import tensorflow as tf


def sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The size of each axis: a number where it is known, else a scalar tensor.

    >>> sizes(tf.zeros([2, 3]))
    [2, 3]
    """
    known = list(x.shape)
    if None not in known:
        return known
    return [a if a is not None else b for a, b in zip(known, tf.unstack(tf.shape(x)), strict=True)]
