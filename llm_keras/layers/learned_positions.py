"""Learned position embedding."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions


@keras.saving.register_keras_serializable(package="llm_keras")
class LearnedPositions(keras.layers.Layer):
    """One learned vector a position, added to the token's.

    ``y[t] = x[t] + P[position[t]]``

    Args:
        sequence_length: Positions that there is a vector for.
        embeddings_initializer: A Keras initializer; `models.initialization` sets weights anew.

    Call arguments:
        x: float [B, T, D].
        positions: int32 [B, T] or [T], each in [0, sequence_length).

    Returns:
        float [B, T, D], the dtype of `x`.

    >>> LearnedPositions(sequence_length=16)(tf.zeros([2, 3, 4]), tf.range(3)).shape
    TensorShape([2, 3, 4])

    References:
        Gehring et al. 2017, section 3.1; GPT-2 (Radford et al. 2019).
    """

    def __init__(
        self, sequence_length: int, embeddings_initializer: Any = "uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sequence_length = sequence_length
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `embeddings` [sequence_length, D]."""
        self.embeddings = name_dimensions(
            self.add_weight(
                name="embeddings",
                shape=(self.sequence_length, input_shape[-1]),
                initializer=self.embeddings_initializer,
            ),
            "positions",
            "hidden",
        )

    def call(self, x: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Adds the vectors; see the class."""
        vectors = tf.gather(tf.convert_to_tensor(self.embeddings), positions)
        return x + tf.cast(vectors, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
