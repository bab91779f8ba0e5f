"""Learned biases by bucketed distance."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions


@keras.saving.register_keras_serializable(package="llm_keras")
class RelativePositions(keras.layers.Layer):
    """Adds to each score a learned number for the distance of query and key.

    ``bias[n, d] = B[bucket(d), n]``. Half of the buckets hold one distance each; the others grow
    with its logarithm up to `max_distance`, and the last one takes all beyond. Where keys after the
    query are seen, both directions have half of the buckets each.

    Args:
        num_heads: N.
        causal: Whether no key after the query is seen.
        num_buckets: 32 as the source.
        max_distance: 128 as the source.

    Call arguments:
        length: T, most places; an integer or an int32 scalar.

    Returns:
        float32 [N, 2 T - 1]: the bias of a key d places after its query at ``d + T - 1``, as
        `masks.RowMask` takes it.

    >>> RelativePositions(num_heads=2, causal=True)(length=3).shape
    TensorShape([2, 5])

    References:
        Raffel et al. 2020, section 2.1, and the code published with it. All blocks share one table.
    """

    def __init__(
        self,
        num_heads: int,
        causal: bool,
        num_buckets: int = 32,
        max_distance: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.causal = causal
        self.num_buckets = num_buckets
        self.max_distance = max_distance

    def build(self, input_shape: Any = None) -> None:
        """Makes `buckets` [num_buckets, N]."""
        del input_shape  # The same for rows of any length.
        self.buckets = name_dimensions(
            self.add_weight(name="buckets", shape=(self.num_buckets, self.num_heads)),
            "buckets",
            "heads",
        )

    def call(self, length: int | tf.Tensor) -> tf.Tensor:
        """Makes the biases; see the class."""
        table = tf.cast(tf.convert_to_tensor(self.buckets), tf.float32)
        return tf.transpose(tf.gather(table, self._bucket(tf.range(1 - length, length))))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "causal": self.causal,
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
        }

    def _bucket(self, distance: tf.Tensor) -> tf.Tensor:
        """The bucket of each distance (key minus query), int32."""
        buckets, first = self.num_buckets, tf.zeros_like(distance)
        if self.causal:
            distance = tf.maximum(-distance, 0)
        else:
            buckets //= 2
            first = tf.where(distance > 0, buckets, 0)
            distance = tf.abs(distance)
        exact = buckets // 2
        ratio = tf.math.log(tf.cast(tf.maximum(distance, 1), tf.float32) / exact)
        ratio /= math.log(self.max_distance / exact)
        far = exact + tf.cast(ratio * (buckets - exact), tf.int32)
        return first + tf.where(distance < exact, distance, tf.minimum(far, buckets - 1))
