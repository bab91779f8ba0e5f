"""What the three kinds of models have in common.

B rows, T positions, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from llm_keras import config, layers
from llm_keras.layers.attention import Context
from llm_keras.layers.attention_core import choose_block
from llm_keras.layers.masks import RowMask
from llm_keras.layers.shapes import sizes
from llm_keras.models import chain, parts
from llm_keras.models.chain import BlockPart, Inputs, Part, RunBlocks
from llm_keras.models.initialization import initialize


class Forward(NamedTuple):
    """What a model makes of a batch, but for the output projection.

    Attributes:
        hidden: float [B, T, D], to be given to `logits`.
        router: float32 [3]: `MixtureOfExperts`' sums, over all layers; zeros without experts.
    """

    hidden: tf.Tensor
    router: tf.Tensor


class Transformer(keras.Model):
    """Base of the models: settings, weights, blocks, logits.

    The weights are made by `build`, deterministic by seed and layer name; see
    `models.initialization`.

    Args:
        settings: The shape, a `config.Model` or a mapping of its fields.
        vocabulary_size: V.
        sequence_length: Most positions; learned positions have as many vectors.
        seed: Of the initial weights.

    Attributes:
        run_blocks: How blocks are called; replace it to rematerialize.
    """

    #: The kind of settings that the model is made of.
    kind = ""

    def __init__(
        self,
        settings: config.Model | Mapping[str, Any],
        vocabulary_size: int,
        sequence_length: int,
        seed: int = 0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or self.kind, **kwargs)
        settings = config.Model.model_validate(settings)
        if settings.kind != self.kind:
            raise ValueError(f"expected settings of kind {self.kind}, got {settings.kind}")
        self.autocast = False
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.seed = seed
        self.run_blocks: RunBlocks = chain.run_blocks
        self._common = {"dtype": self.dtype_policy}

    def build(self, input_shape: Any = None) -> None:
        """Makes and initializes all weights; the same for inputs of any shape.

        A part that is built already keeps its variables where they are: to place parts on devices,
        build each there before this (its variables' paths then lack the model's name).
        """
        del input_shape
        for part in self.chain():
            for layer in part.layers:
                if not layer.built:
                    layer.build((None, None, self.settings.hidden_dim))
        self.built = True
        initialize(self)

    def call(self, inputs: Inputs, dropout_key: tf.Tensor | None = None) -> tf.Tensor:
        """Predicts; see the class."""
        return self.logits(self.forward(inputs, dropout_key).hidden)

    def hidden_states(self, inputs: Inputs, dropout_key: tf.Tensor | None = None) -> tf.Tensor:
        """What `logits` reads, float [B, T, D]; arguments as `call`."""
        return self.forward(inputs, dropout_key).hidden

    def forward(self, inputs: Inputs, dropout_key: tf.Tensor | None = None) -> Forward:
        """All but the output projection; arguments as `call`."""
        carry = chain.run(self.chain(), {}, inputs, dropout_key, self.run_blocks)
        return Forward(carry["x"], carry["router"])

    def chain(self) -> list[Part | BlockPart]:
        """The model as parts, which one after the other are `forward`.

        The last reads also what `logits` does, so that hidden states become a loss where they are.
        """
        raise NotImplementedError

    def logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """Projects float [..., D] to logits, float32 [..., V].

        With muP they are divided by the width's multiple, so that their size does not grow with it
        (Yang et al. 2022, table 8); `output_logit_cap` limits them as attention's.
        """
        logits = tf.cast(self._project(hidden), tf.float32)
        if self.settings.width_multiplier != 1:
            logits /= self.settings.width_multiplier
        cap = self.settings.output_logit_cap
        return logits if cap is None else cap * tf.tanh(logits / cap)

    @property
    def head_variables(self) -> list[keras.Variable]:
        """What `logits` reads, as far as it is trained."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "settings": self.settings.model_dump(mode="json"),
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "seed": self.seed,
        }

    def _project(self, hidden: tf.Tensor) -> tf.Tensor:
        """Hidden states to logits, before they are scaled and limited."""
        raise NotImplementedError


def present(*found: keras.layers.Layer | None) -> tuple[keras.layers.Layer, ...]:
    """Those layers that the settings ask for."""
    return tuple(layer for layer in found if layer is not None)


def add_positions(
    layer: keras.layers.Layer | None, x: tf.Tensor, positions: tf.Tensor
) -> tf.Tensor:
    """Embeddings with their positions, if these are added there.

    Args:
        layer: Of `parts.positions`.
        x: float [B, T, D].
        positions: int32 [B, T] or [T].
    """
    if layer is None or isinstance(layer, (layers.RotaryPositions, *parts.SCORE_POSITIONS)):
        return x
    return layer(x, positions)


def positions_of(inputs: Inputs) -> tf.Tensor:
    """Places within the document, int32 [B, T] or [T]; from 0 where the batch has none."""
    positions = inputs.get("positions")
    return tf.range(sizes(inputs["tokens"])[1]) if positions is None else positions


def turning(layer: keras.layers.Layer | None, positions: tf.Tensor) -> Context:
    """The tables by which all blocks turn queries and keys, if these are turned."""
    if not isinstance(layer, layers.RotaryPositions):
        return {}
    cos, sin = layer(positions)
    return {"cos": cos, "sin": sin}


def score_bias(layer: keras.layers.Layer | None, length: int | tf.Tensor) -> tf.Tensor | None:
    """What positions add to scores by distance, float32 [N, 2 length - 1]; None: nothing."""
    return layer(length=length) if isinstance(layer, parts.SCORE_POSITIONS) else None


def row_context(
    settings: config.Model,
    layer: keras.layers.Layer | None,
    tokens: tf.Tensor,
    segments: tf.Tensor | None,
    causal: bool,
) -> Context:
    """What self-attention in rows must know: the mask, or for blocks what it is made of."""
    length = sizes(tokens)[1]
    segments = None if segments is None else tf.convert_to_tensor(segments)
    bias = score_bias(layer, length)
    block = settings.attention_block_length
    if block is None:
        block = choose_block(length, causal, settings.sliding_window)
    if block is not None:
        context = {"segments": segments, "distance_bias": bias}
        context = {name: part for name, part in context.items() if part is not None}
    else:
        mask = RowMask(length, causal, settings.sliding_window, segments, bias)
        context = {"mask": mask.whole()}
    if segments is not None and settings.experts is not None:
        context["real"] = segments != 0
    return context
