"""Dropout whose mask is a function of its arguments: no generator, no state."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.placement import on_mesh, pin


@keras.saving.register_keras_serializable(package="llm_keras")
class KeyedDropout(keras.layers.Layer):
    """Zeroes elements at random and scales the rest, so that the mean stays.

    ``y = x * [hash(key, salt, row, element) >= rate] / (1 - rate)``

    The mask depends on the step's key, this layer's salt, the row's number in the whole batch and
    the element's place in the row, and on nothing else: it is the same however the batch is spread
    over replicas or micro-batches, and when a block is computed again for its gradient.

    Args:
        rate: Fraction of elements to drop, in [0, 1); kept to a multiple of 2**-16.
        salt: Tells this layer's masks from those of others; any 32-bit number.

    Call arguments:
        x: float [B, ...], with static sizes behind B.
        key: int32 [B, 2]: a number mixed from seed and step, and the row's global number; or
            None, for no dropout.

    Returns:
        float, the shape and dtype of `x`.

    >>> key = tf.constant([[5, 0], [5, 1]])  # one step, rows 0 and 1
    >>> KeyedDropout(0.5)(tf.ones([2, 4]), key).numpy().tolist()
    [[0.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 2.0]]

    References:
        Srivastava et al. 2014, section 4 (here scaled in training). The hash is SplitMix64's
        finalizer: Steele et al. 2014, figure 17.
    """

    def __init__(self, rate: float, salt: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"expected a dropout rate in [0, 1), got {rate}")
        self.rate = rate
        self.salt = salt

    def call(self, x: tf.Tensor, key: tf.Tensor | None = None) -> tf.Tensor:
        """Applies the mask; see the class."""
        x = pin(x, "batch", *[None] * (x.shape.rank - 1))  # The residual stream, on a mesh.
        if key is None or self.rate == 0:
            return x
        keep = keep_mask(key, self.salt, self.rate, x.shape[1:])
        return tf.where(keep, x * (1 / (1 - self.rate)), tf.zeros([], x.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "salt": self.salt}


def keep_mask(key: tf.Tensor, salt: int, rate: float, shape: tf.TensorShape) -> tf.Tensor:
    """Bool [B, *shape], True with probability 1 - rate; see `KeyedDropout`."""
    elements = shape.num_elements()
    words = -(-elements // 4)  # one hash gives four 16-bit numbers
    hashed = random_words(key, salt, words)
    numbers = tf.reshape(_quarters(hashed), [-1, words * 4])[:, :elements]
    numbers = tf.reshape(tf.cast(numbers, tf.int32), [-1, *shape])
    return pin(numbers, "batch", *[None] * shape.rank) >= round(rate * 2**16)


def _quarters(words: tf.Tensor) -> tf.Tensor:
    """The four 16-bit numbers of each word, the lowest first: [..., 4]."""
    if not on_mesh():
        return tf.bitcast(words, tf.uint16)  # DTensor takes its new axis for the rows'.
    shifts = [tf.bitwise.right_shift(words, tf.constant(16 * i, tf.uint64)) for i in range(4)]
    return tf.stack([shift & tf.constant(2**16 - 1, tf.uint64) for shift in shifts], axis=-1)


def random_words(key: tf.Tensor, salt: int, count: int) -> tf.Tensor:
    """Evenly distributed numbers that depend on the arguments alone.

    Args:
        key: int32 [B, 2]; see `KeyedDropout`.
        salt: Tells the use of the numbers from other uses.
        count: Numbers a row.

    Returns:
        uint64 [B, count].
    """
    step, row = tf.unstack(tf.bitcast(key, tf.uint32), axis=1)
    seed = _mix(_join(step, tf.fill(tf.shape(step), tf.constant(salt % 2**32, tf.uint32))))
    seed = _mix(seed ^ tf.cast(row, tf.uint64))
    counters = tf.range(count, dtype=tf.int64) * _signed(0x9E3779B97F4A7C15)
    return _mix(seed[:, None] + tf.bitcast(counters, tf.uint64))


def _join(high: tf.Tensor, low: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.left_shift(tf.cast(high, tf.uint64), tf.constant(32, tf.uint64)) ^ tf.cast(
        low, tf.uint64
    )


def _mix(x: tf.Tensor) -> tf.Tensor:
    """Spreads every bit of uint64 `x` over all bits."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint64)))
        if factor != 1:
            x = x * tf.constant(factor, tf.uint64)
    return x


def _signed(number: int) -> int:
    """The 64-bit number as int64 has it."""
    return number - 2**64 if number >= 2**63 else number
