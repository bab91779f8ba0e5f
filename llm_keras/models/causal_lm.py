"""A decoder-only language model.

B rows, T positions, D hidden, V vocabulary.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from llm_keras import config, layers
from llm_keras.layers.attention import Cache
from llm_keras.layers.attention_core import additive, causal_mask, segment_mask
from llm_keras.layers.normalization import normalization
from llm_keras.layers.shapes import sizes
from llm_keras.models.initialization import initialize

Inputs = Mapping[str, tf.Tensor]
BlockCall = Callable[
    [layers.DecoderBlock, tf.Tensor, dict[str, tf.Tensor], tf.Tensor | None], tf.Tensor
]


def call_block(
    block: layers.DecoderBlock,
    x: tf.Tensor,
    context: dict[str, tf.Tensor],
    dropout_key: tf.Tensor | None,
) -> tf.Tensor:
    """Calls the block; training may put rematerialization in its place."""
    return block(x, context, dropout_key)


@keras.saving.register_keras_serializable(package="llm_keras")
class CausalLM(keras.Model):
    """Predicts each next token from those before it in the same document.

    ``logits = norm(block_n(...block_1(embedding(tokens) + positions))) @ W_out``

    The weights are made by `build`, deterministic by seed and layer name; see
    `models.initialization`.

    Args:
        settings: The shape, a `config.Model` or a mapping of its fields.
        vocabulary_size: V.
        sequence_length: Most positions; learned positions have as many vectors.
        seed: Of the initial weights.

    Call arguments:
        inputs: `tokens` int32 [B, T]; perhaps `segments` int32 [B, T], the document each position
            belongs to, 0 for filling; perhaps `positions` int32 [B, T], within the document.
            Absent: one document a row, positions from 0.
        dropout_key: int32 [B, 2], see `layers.KeyedDropout`; None: no dropout.

    Returns:
        Logits, float32 [B, T, V].

    >>> shape = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32, "num_query_heads": 4}
    >>> model = CausalLM(shape, vocabulary_size=100, sequence_length=8)
    >>> model({"tokens": tf.constant([[5, 6, 7]])}).shape
    TensorShape([1, 3, 100])

    Attributes:
        embedding, positions, blocks, final_norm, output_projection: The parts, in order;
            `output_projection` is None where the embedding is tied, `final_norm` where the blocks
            end with a norm (`norm_placement: post`).
        block_call: How a block is called; replace it to rematerialize.
    """

    def __init__(
        self,
        settings: config.Model | Mapping[str, Any],
        vocabulary_size: int,
        sequence_length: int,
        seed: int = 0,
        name: str = "causal_lm",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.autocast = False
        settings = config.Model.model_validate(settings)
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.seed = seed
        self.block_call: BlockCall = call_block
        common = {"dtype": self.dtype_policy}
        self.embedding = layers.TokenEmbedding(
            vocabulary_size, settings.hidden_dim, name="embedding", **common
        )
        self.positions = _positions(settings, sequence_length, **common)
        self.embedding_dropout = layers.KeyedDropout(
            settings.dropout,
            salt=zlib.crc32(b"embedding_dropout"),
            name="embedding_dropout",
            **common,
        )
        self.blocks = [
            layers.DecoderBlock(
                num_query_heads=settings.num_query_heads,
                num_key_value_heads=settings.key_value_heads,
                head_dim=settings.head_size,
                intermediate_dim=settings.intermediate_dim,
                activation=settings.activation,
                normalization=settings.normalization,
                normalization_epsilon=settings.normalization_epsilon,
                norm_placement=settings.norm_placement,
                use_bias=settings.use_bias,
                dropout=settings.dropout,
                attention_block_length=settings.attention_block_length,
                name=f"block_{index}",
                **common,
            )
            for index in range(settings.num_layers)
        ]
        self.final_norm = None
        if settings.norm_placement == "pre":
            self.final_norm = normalization(
                settings.normalization, settings.normalization_epsilon, name="final_norm", **common
            )
        self.output_projection = None
        if not settings.tie_embeddings:
            self.output_projection = layers.Linear(
                vocabulary_size, ("hidden", "vocabulary"), name="output_projection", **common
            )

    def build(self, input_shape: Any = None) -> None:
        """Makes and initializes all weights; the same for inputs of any shape.

        A part that is built already keeps its variables where they are: to place parts on devices,
        build each there before this (its variables' paths then lack the model's name).
        """
        del input_shape
        parts = (self.embedding, self.positions, *self.blocks)
        for part in (*parts, self.final_norm, self.output_projection):
            if part is not None and not part.built:
                part.build((None, None, self.settings.hidden_dim))
        self.built = True
        initialize(self, self.seed, self.settings.initializer_range, self.settings.num_layers)

    def call(self, inputs: Inputs, dropout_key: tf.Tensor | None = None) -> tf.Tensor:
        """Predicts; see the class."""
        return self.logits(self.hidden_states(inputs, dropout_key))

    def hidden_states(self, inputs: Inputs, dropout_key: tf.Tensor | None = None) -> tf.Tensor:
        """What the output projection reads, float [B, T, D]; arguments as `call`."""
        tokens = inputs["tokens"]
        positions = inputs.get("positions")
        length = sizes(tokens)[1]
        x, context = self._embed(tokens, tf.range(length) if positions is None else positions)
        segments = inputs.get("segments")
        context["mask"] = causal_mask(length) if segments is None else segment_mask(segments)
        x = self.embedding_dropout(x, dropout_key)
        for block in self.blocks:
            x = self.block_call(block, x, context, dropout_key)
        return x if self.final_norm is None else self.final_norm(x)

    def logits(self, hidden: tf.Tensor) -> tf.Tensor:
        """Projects float [..., D] to logits, float32 [..., V]."""
        if self.output_projection is None:
            return self.embedding.logits(hidden)
        return tf.cast(self.output_projection(hidden), tf.float32)

    def initial_cache(self, batch_size: int | tf.Tensor, length: int | tf.Tensor) -> list[Cache]:
        """An empty cache for `length` positions: (keys, values) for each block."""
        return [block.attention.initial_cache(batch_size, length) for block in self.blocks]

    def decode(
        self, tokens: tf.Tensor, cache: list[Cache], start: int | tf.Tensor
    ) -> tuple[tf.Tensor, list[Cache]]:
        """Hidden states of tokens whose past is in the cache: prefill, and each step after it.

        Prompts of different lengths are filled up on the right, with any token. Each row keeps its
        own positions from 0, writes its own next token over the filling, and sees no position
        after its own: nothing of it depends on the other rows or on the filling.

        Args:
            tokens: int32 [B, T].
            cache: Of `initial_cache`, or what `decode` gave.
            start: int32 [B] or scalar, the position of each row's first token here. The cache must
                have room for `start + T` positions. A Python 0 promises that the cache is empty.

        Returns:
            float [B, T, D], to be given to `logits`, and the new cache.
        """
        batch, length = sizes(tokens)
        starts = tf.broadcast_to(tf.convert_to_tensor(start, tf.int32), [batch])
        positions = starts[:, None] + tf.range(length)
        x, context = self._embed(tokens, positions)
        x = tf.reshape(x, [-1, self.settings.hidden_dim])
        context = {
            name: tf.reshape(table, [-1, *table.shape[2:]]) for name, table in context.items()
        }
        room = sizes(cache[0][0])[1]
        context["slots"] = tf.reshape(positions + tf.range(batch)[:, None] * room, [-1, 1])
        if isinstance(start, int) and start == 0:
            context["mask"] = causal_mask(length)
        else:
            context["cache_mask"] = additive(tf.range(room) <= positions[:, :, None])
        filled = []
        for block, empty in zip(self.blocks, cache, strict=True):
            x, part = block.decode(x, context, empty)
            filled.append(part)
        x = x if self.final_norm is None else self.final_norm(x)
        return tf.reshape(x, [batch, length, self.settings.hidden_dim]), filled

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "settings": self.settings.model_dump(mode="json"),
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "seed": self.seed,
        }

    def _embed(
        self, tokens: tf.Tensor, positions: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The input of the first block, and what positions give to all blocks."""
        x = self.embedding(tokens)
        if isinstance(self.positions, layers.RotaryPositions):
            cos, sin = self.positions(positions)
            return x, {"cos": cos, "sin": sin}
        return self.positions(x, positions), {}


def _positions(settings: config.Model, sequence_length: int, **common: Any) -> keras.layers.Layer:
    if settings.positions == "rotary":
        return layers.RotaryPositions(
            settings.head_size, settings.rope_max_wavelength, name="positions", **common
        )
    if settings.positions == "learned":
        return layers.LearnedPositions(sequence_length, name="positions", **common)
    return layers.SinusoidalPositions(name="positions", **common)
