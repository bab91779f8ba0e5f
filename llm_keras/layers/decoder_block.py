"""One block of a decoder: attention and feed-forward, each with norm, dropout and residual."""

from __future__ import annotations

import zlib
from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.attention import Attention, Cache
from llm_keras.layers.dropout import KeyedDropout
from llm_keras.layers.feed_forward import FeedForward
from llm_keras.layers.normalization import normalization as make_normalization


@keras.saving.register_keras_serializable(package="llm_keras")
class DecoderBlock(keras.layers.Layer):
    """Attention, then feed-forward, each added to what it read.

    Pre-norm: ``x = x + dropout(f(norm(x)))``; post-norm: ``x = norm(x + dropout(f(x)))``.

    Args:
        num_query_heads: Query heads.
        num_key_value_heads: Key and value heads, a divisor of the query heads.
        head_dim: Features of a head.
        intermediate_dim: Width of the feed-forward layer.
        activation: See `FeedForward`.
        normalization: "rms_norm" or "layer_norm".
        normalization_epsilon: Added to the variance.
        norm_placement: "pre" or "post".
        use_bias: Whether the projections have biases.
        dropout: Rate for the outputs of attention and feed-forward; attention's probabilities are
            not dropped.
        attention_block_length: See `attention_core.attend`.

    Call arguments:
        x: float [B, T, D].
        context: What all blocks share, made once a step: `mask`, perhaps `cos` and `sin`.
        dropout_key: int32 [B, 2], see `KeyedDropout`; None: no dropout.

    Returns:
        float [B, T, D].

    >>> from llm_keras.layers.attention_core import causal_mask
    >>> block = DecoderBlock(
    ...     num_query_heads=4, num_key_value_heads=2, head_dim=8, intermediate_dim=32
    ... )
    >>> block(tf.zeros([2, 3, 16]), {"mask": causal_mask(3)}).shape
    TensorShape([2, 3, 16])

    Raises:
        ValueError: `norm_placement` is neither "pre" nor "post".

    References:
        Post-norm: Vaswani et al. 2017, section 3.1. Pre-norm: Xiong et al. 2020, section 3.
    """

    def __init__(
        self,
        num_query_heads: int,
        num_key_value_heads: int,
        head_dim: int,
        intermediate_dim: int,
        activation: str = "swiglu",
        normalization: str = "rms_norm",
        normalization_epsilon: float = 1e-5,
        norm_placement: str = "pre",
        use_bias: bool = False,
        dropout: float = 0.0,
        attention_block_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if norm_placement not in ("pre", "post"):
            raise ValueError(f"expected norm_placement 'pre' or 'post', got {norm_placement!r}")
        self.autocast = False  # the context stays float32
        self.settings = {
            "num_query_heads": num_query_heads,
            "num_key_value_heads": num_key_value_heads,
            "head_dim": head_dim,
            "intermediate_dim": intermediate_dim,
            "activation": activation,
            "normalization": normalization,
            "normalization_epsilon": normalization_epsilon,
            "norm_placement": norm_placement,
            "use_bias": use_bias,
            "dropout": dropout,
            "attention_block_length": attention_block_length,
        }
        self.norm_placement = norm_placement
        self._make_layers(**self.settings)

    def _make_layers(self, **settings: Any) -> None:
        common = {"dtype": self.dtype_policy}
        kind, epsilon = settings["normalization"], settings["normalization_epsilon"]
        self.attention_norm = make_normalization(kind, epsilon, name="attention_norm", **common)
        self.attention = Attention(
            settings["num_query_heads"],
            settings["num_key_value_heads"],
            settings["head_dim"],
            settings["use_bias"],
            settings["attention_block_length"],
            name="attention",
            **common,
        )
        self.feed_forward_norm = make_normalization(
            kind, epsilon, name="feed_forward_norm", **common
        )
        self.feed_forward = FeedForward(
            settings["intermediate_dim"],
            settings["activation"],
            settings["use_bias"],
            name="feed_forward",
            **common,
        )
        self.attention_dropout, self.feed_forward_dropout = (
            KeyedDropout(
                settings["dropout"],
                salt=zlib.crc32(f"{self.name}/{name}".encode()),
                name=name,
                **common,
            )
            for name in ("attention_dropout", "feed_forward_dropout")
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the weights of the four parts."""
        for layer in (
            self.attention_norm,
            self.attention,
            self.feed_forward_norm,
            self.feed_forward,
        ):
            layer.build(input_shape)

    def call(
        self, x: tf.Tensor, context: dict[str, tf.Tensor], dropout_key: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Applies the block; see the class."""
        x = tf.cast(x, self.compute_dtype)
        y = self.attention(self._before(self.attention_norm, x), context)
        x = self._after(self.attention_norm, x + self.attention_dropout(y, dropout_key))
        y = self.feed_forward(self._before(self.feed_forward_norm, x))
        return self._after(self.feed_forward_norm, x + self.feed_forward_dropout(y, dropout_key))

    def decode(
        self, x: tf.Tensor, context: dict[str, tf.Tensor], cache: Cache
    ) -> tuple[tf.Tensor, Cache]:
        """`call` on rows [B * T, D] whose past is in the cache; see `Attention.decode`."""
        y, cache = self.attention.decode(self._before(self.attention_norm, x), context, cache)
        x = self._after(self.attention_norm, x + y)
        y = self.feed_forward(self._before(self.feed_forward_norm, x))
        return self._after(self.feed_forward_norm, x + y), cache

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), **self.settings}

    def _before(self, norm: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
        return norm(x) if self.norm_placement == "pre" else x

    def _after(self, norm: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
        return norm(x) if self.norm_placement == "post" else x
