"""Learned vectors for the parts that an input is made of."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions


@keras.saving.register_keras_serializable(package="llm_keras")
class TokenTypes(keras.layers.Layer):
    """One learned vector a part, added to the vectors of its tokens.

    ``y[t] = x[t] + S[type[t]]``

    Args:
        num_types: Parts, 2 in BERT.

    Call arguments:
        x: float [B, T, D].
        types: int32 [B, T], each in [0, num_types); None: all are part 0.

    Returns:
        float [B, T, D], the dtype of `x`.

    >>> TokenTypes(num_types=2)(tf.zeros([2, 3, 4]), None).shape
    TensorShape([2, 3, 4])

    References:
        Devlin et al. 2019, section 3, "segment embeddings".
    """

    def __init__(self, num_types: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_types = num_types

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `embeddings` [num_types, D]."""
        self.embeddings = name_dimensions(
            self.add_weight(name="embeddings", shape=(self.num_types, input_shape[-1])),
            "token_types",
            "hidden",
        )

    def call(self, x: tf.Tensor, types: tf.Tensor | None) -> tf.Tensor:
        """Adds the vectors; see the class."""
        table = tf.convert_to_tensor(self.embeddings)
        return x + tf.cast(table[0] if types is None else tf.gather(table, types), x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "num_types": self.num_types}
