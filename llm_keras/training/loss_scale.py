"""A loss scale that follows the gradients, so that float16 can hold them."""

from __future__ import annotations

import keras
import tensorflow as tf

FIRST = 2.0**15
#: float16's largest number is 65,504: no factor on a token's loss may exceed this.
LARGEST_FACTOR = 2.0**15
#: Below it, a gradient that is not finite is no fault of the scale any more; above it, nothing is
#: gained.
LEAST, MOST = 2.0**-10, 2.0**24
#: Good steps after which the scale is doubled.
STEPS_TO_DOUBLE = 2000


class LossScale:
    """A power of two that losses are multiplied with, and their gradients divided by.

    A step whose loss is finite but whose gradients, summed over micro-batches and devices, are not,
    has overflowed: it halves the scale, and is not applied. `STEPS_TO_DOUBLE` good steps in a row
    double it. The scale is that of a mean over the tokens of a micro-batch, as usual, though it is
    their sum that is differentiated here.

    To be made under the engine's scope.

    Attributes:
        variables: The scale, float32 scalar, and the count of good steps, int32 scalar.

    References:
        Micikevicius et al. 2018, section 3.2.
    """

    def __init__(self) -> None:
        self._scale, self._good_steps = (
            keras.Variable(
                value, dtype=dtype, trainable=False, aggregation="only_first_replica", name=name
            )
            for name, value, dtype in (("scale", FIRST, "float32"), ("good_steps", 0, "int32"))
        )
        self.variables = [self._scale, self._good_steps]

    def value(self) -> tf.Tensor:
        """The scale of this step, float32 scalar."""
        return tf.convert_to_tensor(self._scale)

    def factor(self, tokens: int | None) -> tf.Tensor:
        """What the loss of each of so many tokens is multiplied with, float32 scalar."""
        power = 2.0 ** -((tokens or 1) - 1).bit_length()  # dividing by it is exact
        return tf.minimum(self.value() * power, LARGEST_FACTOR)

    def overflowed(self, loss: tf.Tensor, grad_norm: tf.Tensor) -> tf.Tensor:
        """Whether the scale was too large in this step, bool scalar.

        Args:
            loss: float32 scalar.
            grad_norm: Of the whole gradient, divided by the scale, float32 scalar.
        """
        bad = tf.math.is_finite(loss) & ~tf.math.is_finite(grad_norm)
        return bad & (self.value() > LEAST)

    def update(self, overflowed: tf.Tensor, good: tf.Tensor) -> None:
        """Halves or doubles it if need be; each variable is read once, then written once.

        Args:
            overflowed: See there.
            good: bool scalar, whether the step was applied.
        """
        scale = self.value()
        good_steps = tf.convert_to_tensor(self._good_steps) + tf.cast(good, tf.int32)
        doubles = good_steps >= STEPS_TO_DOUBLE
        larger = tf.where(doubles, tf.minimum(scale * 2.0, MOST), scale)
        self._scale.assign(tf.where(overflowed, scale * 0.5, larger))
        self._good_steps.assign(tf.where(overflowed | doubles, 0, good_steps))
