"""What encoder and decoder blocks have in common: sublayers on a residual stream.

B rows, T positions, D hidden.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from llm_keras.layers.attention import Attention, Context
from llm_keras.layers.dropout import KeyedDropout
from llm_keras.layers.feed_forward import FeedForward
from llm_keras.layers.mixture_of_experts import MixtureOfExperts
from llm_keras.layers.normalization import normalization as make_normalization

PLACEMENTS = ("pre", "post")
#: Calls a sublayer with (x, context, dropout key).
AttentionCall = Callable[..., tf.Tensor]


class BlockOutput(NamedTuple):
    """What a block gives to the next one, and to the loss."""

    x: tf.Tensor  #: float [B, T, D].
    router: tf.Tensor  #: float32 [3], see `MixtureOfExperts`; zeros where there are no experts.


def call_attention(
    attention: Callable[..., tf.Tensor],
    x: tf.Tensor,
    context: Context,
    dropout_key: tf.Tensor | None,
) -> tf.Tensor:
    """Calls the sublayer; training may put rematerialization in its place."""
    return attention(x, context, dropout_key)


class ResidualBlock(keras.layers.Layer):
    """Base of blocks: attention and feed-forward, whose outputs are added to what they read.

    Pre-norm: ``x = x + dropout(f(norm(x)))``; post-norm: ``x = norm(x + dropout(f(x)))``.

    Args:
        attention: Arguments of the block's attention layers.
        feed_forward: Arguments of `FeedForward`, or with `num_experts` of `MixtureOfExperts`.
        normalization: "rms_norm" or "layer_norm".
        normalization_epsilon: Added to the variance.
        norm_placement: "pre" or "post".
        dropout: Rate for the outputs of sublayers; attention's weights are not dropped.

    Raises:
        ValueError: `norm_placement` is neither "pre" nor "post".

    References:
        Post-norm: Vaswani et al. 2017, section 3.1. Pre-norm: Xiong et al. 2020, section 3.
    """

    def __init__(
        self,
        attention: Mapping[str, Any],
        feed_forward: Mapping[str, Any],
        normalization: str = "rms_norm",
        normalization_epsilon: float = 1e-5,
        norm_placement: str = "pre",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if norm_placement not in PLACEMENTS:
            raise ValueError(f"expected norm_placement of {PLACEMENTS}, got {norm_placement!r}")
        self.autocast = False  # the context stays float32
        self.settings: dict[str, Any] = {
            "attention": dict(attention),
            "feed_forward": dict(feed_forward),
            "normalization": normalization,
            "normalization_epsilon": normalization_epsilon,
            "norm_placement": norm_placement,
            "dropout": dropout,
        }
        self.norm_placement = norm_placement
        self._common = {"dtype": self.dtype_policy}
        self._sublayers: tuple[str, ...] = ()
        self._make_attention(Attention, "attention")
        self._make_feed_forward()

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the weights of norms and sublayers."""
        for name in self._sublayers:
            getattr(self, f"{name}_norm").build(input_shape)
            getattr(self, name).build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), **self.settings}

    def _make_attention(self, kind: type[keras.layers.Layer], name: str) -> None:
        """Sets `name`, `name_norm` and `name_dropout`."""
        self._add(name, kind(**self.settings["attention"], name=name, **self._common))

    def _make_feed_forward(self) -> None:
        """Sets `feed_forward`, `feed_forward_norm` and `feed_forward_dropout`."""
        arguments = self.settings["feed_forward"]
        kind = MixtureOfExperts if "num_experts" in arguments else FeedForward
        self._add("feed_forward", kind(**arguments, name="feed_forward", **self._common))

    def _add(self, name: str, layer: keras.layers.Layer) -> None:
        norm = make_normalization(
            self.settings["normalization"],
            self.settings["normalization_epsilon"],
            name=f"{name}_norm",
            **self._common,
        )
        dropout = KeyedDropout(
            self.settings["dropout"],
            salt=zlib.crc32(f"{self.name}/{name}_dropout".encode()),
            name=f"{name}_dropout",
            **self._common,
        )
        setattr(self, f"{name}_norm", norm)
        setattr(self, name, layer)
        setattr(self, f"{name}_dropout", dropout)
        self._sublayers = (*self._sublayers, name)

    def _before(self, name: str, x: tf.Tensor) -> tf.Tensor:
        """What a sublayer reads."""
        return getattr(self, f"{name}_norm")(x) if self.norm_placement == "pre" else x

    def _after(
        self, name: str, x: tf.Tensor, y: tf.Tensor, dropout_key: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The stream `x` with a sublayer's output `y` added."""
        x += getattr(self, f"{name}_dropout")(y, dropout_key)
        return getattr(self, f"{name}_norm")(x) if self.norm_placement == "post" else x

    def _attend(
        self, x: tf.Tensor, context: Context, dropout_key: tf.Tensor | None, name: str = "attention"
    ) -> tf.Tensor:
        """An attention sublayer, with its norm and its dropout."""
        y = getattr(self, name)(self._before(name, x), context)
        return self._after(name, x, y, dropout_key)

    def _feed(
        self, x: tf.Tensor, context: Context, dropout_key: tf.Tensor | None = None
    ) -> BlockOutput:
        """The feed-forward sublayer, on [B, T, D] or on rows [N, D]."""
        y, router = self._before("feed_forward", x), tf.zeros([3])
        if isinstance(self.feed_forward, MixtureOfExperts):
            training = dropout_key is not None
            y, router = self.feed_forward(y, context.get("real"), training=training)
        else:
            y = self.feed_forward(y)
        return BlockOutput(self._after("feed_forward", x, y, dropout_key), router)
