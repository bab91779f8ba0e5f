"""The last step of a masked language model."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions
from llm_keras.layers.gelu import gelu
from llm_keras.layers.linear import Linear
from llm_keras.layers.normalization import normalization as make_normalization
from llm_keras.layers.token_embedding import TokenEmbedding


@keras.saving.register_keras_serializable(package="llm_keras")
class MaskedLMHead(keras.layers.Layer):
    """Guesses tokens from hidden states.

    ``logits = norm(gelu(x W + b)) @ E.T + c`` with the token embedding E and a bias c a token.

    Args:
        vocabulary_size: V.
        normalization: "rms_norm" or "layer_norm".
        normalization_epsilon: Added to the variance.

    Call arguments:
        x: float [..., D].
        embedding: The model's `TokenEmbedding`, whose matrix is the output's too.

    Returns:
        float32 [..., V].

    References:
        Devlin et al. 2019, section 3.1, and the code published with it.
    """

    def __init__(
        self,
        vocabulary_size: int,
        normalization: str = "layer_norm",
        normalization_epsilon: float = 1e-12,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.normalization = normalization
        self.normalization_epsilon = normalization_epsilon

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `transform`, `norm` and `output_bias` [V]."""
        common = {"dtype": self.dtype_policy}
        dimensions = ("hidden", "hidden")
        self.transform = Linear(
            input_shape[-1], dimensions, use_bias=True, name="transform", **common
        )
        self.norm = make_normalization(
            self.normalization, self.normalization_epsilon, name="norm", **common
        )
        self.transform.build(input_shape)
        self.norm.build(input_shape)
        bias = self.add_weight(
            name="output_bias", shape=(self.vocabulary_size,), initializer="zeros"
        )
        self.output_bias = name_dimensions(bias, "vocabulary")

    def call(self, x: tf.Tensor, embedding: TokenEmbedding) -> tf.Tensor:
        """Guesses; see the class."""
        x = self.norm(gelu(self.transform(x), approximate=False))
        return embedding.logits(x) + tf.cast(tf.convert_to_tensor(self.output_bias), tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "normalization": self.normalization,
            "normalization_epsilon": self.normalization_epsilon,
        }
