"""Token embedding, and the output projection that shares its matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions
from llm_keras.layers.shapes import sizes


@keras.saving.register_keras_serializable(package="llm_keras")
class TokenEmbedding(keras.layers.Layer):
    """Looks up one learned vector a token.

    ``y[t] = scale * E[token[t]]``, and as output projection ``logits = x @ E.T``.

    The gradient of the lookup is a dense sum over tokens (`unsorted_segment_sum`): faster than
    `IndexedSlices` when the matrix is tied, because that gradient is dense anyway, and the same on
    every run.

    Args:
        vocabulary_size: Tokens.
        hidden_dim: Features of a vector.
        scale: Factor of the vectors, not of the logits; sqrt(hidden_dim) makes vectors whose
            entries start small comparable with sines. Default 1.
        embeddings_initializer: A Keras initializer; `models.initialization` sets weights anew.

    Call arguments:
        tokens: int32 [B, T], each in [0, vocabulary_size).

    Returns:
        float [B, T, hidden_dim], the compute dtype.

    >>> embedding = TokenEmbedding(vocabulary_size=10, hidden_dim=4)
    >>> embedding.logits(embedding(tf.constant([[1, 2, 3]]))).shape
    TensorShape([1, 3, 10])

    References:
        Tying: Press and Wolf 2017, section 2; scale: Vaswani et al. 2017, section 3.4.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        scale: float = 1.0,
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.scale = scale
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any = None) -> None:
        """Makes `embeddings` [vocabulary_size, hidden_dim]."""
        del input_shape  # The same for tokens of any shape.
        self.embeddings = name_dimensions(
            self.add_weight(
                name="embeddings",
                shape=(self.vocabulary_size, self.hidden_dim),
                initializer=self.embeddings_initializer,
            ),
            "vocabulary",
            "hidden",
        )

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        """Looks the tokens up; see the class."""
        vectors = _lookup(tf.convert_to_tensor(self.embeddings), tokens)
        return tf.cast(vectors if self.scale == 1 else vectors * self.scale, self.compute_dtype)

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """Projects float [..., hidden_dim] to float32 [..., vocabulary_size] by the same matrix."""
        rows = tf.reshape(tf.cast(x, self.compute_dtype), [-1, self.hidden_dim])
        matrix = tf.cast(tf.convert_to_tensor(self.embeddings), self.compute_dtype)
        rows = tf.cast(tf.matmul(rows, matrix, transpose_b=True), tf.float32)
        return tf.reshape(rows, [*sizes(x)[:-1], self.vocabulary_size])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "scale": self.scale,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


def _lookup(matrix: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """`tf.gather(matrix, tokens)` with a dense gradient, summed in float32."""

    @tf.custom_gradient
    def lookup(matrix: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            rows = tf.reshape(tf.cast(upstream, tf.float32), [-1, matrix.shape[-1]])
            flat = tf.reshape(tokens, [-1])
            summed = tf.math.unsorted_segment_sum(rows, flat, matrix.shape[0])
            return tf.cast(summed, matrix.dtype)

        return tf.gather(matrix, tokens), gradient

    return lookup(matrix)
