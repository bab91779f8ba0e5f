"""Random numbers that depend on a row's seed and a position, and on nothing else."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any

#: Increment and multipliers of SplitMix64.
GAMMA = 0x9E3779B97F4A7C15
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def uniform(seed: Tensor, position: Tensor) -> Tensor:
    """One number a row: SplitMix64 seeded with the row's seed, read at `position`.

    ``u = mix(mix(seed) + (position + 1) * gamma) / 2**64``, rounded down to 24 bits

    TensorFlow's stateless generators take one seed for a whole tensor, so that a row's numbers
    would depend on its place in the batch. Here rows are independent: a request draws the same
    alone, among others, and after a restart.

    Args:
        seed: int32 [B], any value.
        position: int32 [B], the place of the token to be drawn in its sequence, >= 0.

    Returns:
        float32 [B] in [0, 1), a multiple of 2**-24.

    References:
        Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 17.
    """
    stream = _mix(tf.cast(seed, tf.uint64))
    count = tf.cast(position, tf.uint64) + tf.constant(1, tf.uint64)
    bits = _mix(stream + count * tf.constant(GAMMA, tf.uint64))
    return tf.cast(_shift(bits, 40), tf.float32) * 2.0**-24


def _mix(x: Tensor) -> Tensor:
    """The finalizer of SplitMix64; uint64 arithmetic wraps."""
    first, second = (tf.constant(multiplier, tf.uint64) for multiplier in MULTIPLIERS)
    x = tf.bitwise.bitwise_xor(x, _shift(x, 30)) * first
    x = tf.bitwise.bitwise_xor(x, _shift(x, 27)) * second
    return tf.bitwise.bitwise_xor(x, _shift(x, 31))


def _shift(x: Tensor, bits: int) -> Tensor:
    return tf.bitwise.right_shift(x, tf.constant(bits, tf.uint64))
