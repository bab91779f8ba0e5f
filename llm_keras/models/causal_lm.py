"""A decoder-only language model.

B rows, T positions, S slots of the cache, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from llm_keras import config, layers
from llm_keras.layers.attention import Cache, Context
from llm_keras.layers.shapes import sizes
from llm_keras.models import parts
from llm_keras.models.chain import BlockPart, Carry, Inputs, Part, stack
from llm_keras.models.decoding import decode_context, rows_of
from llm_keras.models.transformer import (
    Transformer,
    add_positions,
    positions_of,
    present,
    row_context,
    turning,
)


@keras.saving.register_keras_serializable(package="llm_keras")
class CausalLM(Transformer):
    """Predicts each next token from those before it in the same document.

    ``logits = norm(block_n(...block_1(embedding(tokens) + positions))) @ W_out``

    Args:
        settings: The shape, a `config.Model` or a mapping of its fields.
        vocabulary_size: V.
        sequence_length: Most positions; learned positions have as many vectors.
        seed: Of the initial weights.

    Call arguments:
        inputs: `tokens` int32 [B, T]; perhaps `segments` int32 [B, T], the document each position
            belongs to, 0 for filling; perhaps `positions` int32 [B, T], within the document.
            Absent: one document a row, positions from 0.
        dropout_key: int32 [B, 2], see `layers.KeyedDropout`; None: no training, no dropout.

    Returns:
        Logits, float32 [B, T, V].

    >>> shape = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32, "num_query_heads": 4}
    >>> model = CausalLM(shape, vocabulary_size=100, sequence_length=8)
    >>> model({"tokens": tf.constant([[5, 6, 7]])}).shape
    TensorShape([1, 3, 100])

    Attributes:
        embedding, positions, blocks, final_norm, output_projection: The parts, in order;
            `embedding_norm`, `final_norm` and `positions` are None where the settings have none,
            `output_projection` where the embedding is tied.
        run_blocks: How blocks are called; replace it to rematerialize.
    """

    kind = "causal_lm"

    def __init__(
        self,
        settings: config.Model | Mapping[str, Any],
        vocabulary_size: int,
        sequence_length: int,
        seed: int = 0,
        name: str = "causal_lm",
        **kwargs: Any,
    ) -> None:
        super().__init__(settings, vocabulary_size, sequence_length, seed, name, **kwargs)
        settings, common = self.settings, self._common
        self.embedding = parts.embedding(settings, vocabulary_size, "embedding", **common)
        self.positions = parts.positions(settings, sequence_length, True, "positions", **common)
        self.embedding_norm = None
        if settings.embedding_norm:
            self.embedding_norm = parts.norm(settings, "embedding_norm", **common)
        self.embedding_dropout = parts.embedding_dropout(settings, "embedding_dropout", **common)
        self.blocks = [
            parts.decoder_block(settings, f"block_{index}", **common)
            for index in range(settings.num_layers)
        ]
        self.final_norm = None
        if settings.ends_with_norm:
            self.final_norm = parts.norm(settings, "final_norm", **common)
        self.output_projection = None
        if not settings.tie_embeddings:
            self.output_projection = layers.Linear(
                vocabulary_size, ("hidden", "vocabulary"), name="output_projection", **common
            )

    def chain(self) -> list[Part | BlockPart]:
        """Embedding, blocks, head."""
        head = self.embedding if self.output_projection is None else self.output_projection
        own, shared = parts.own_and_shared(self.positions)
        return [
            Part("embedding", present(self.embedding, own, self.embedding_norm), self._first),
            *stack(self.blocks, self._context, *shared),
            Part("head", present(self.final_norm, head), self._last),
        ]

    @property
    def head_variables(self) -> list[keras.Variable]:
        """What `logits` reads, as far as it is trained."""
        layer = self.embedding if self.output_projection is None else self.output_projection
        return list(layer.trainable_variables)

    def initial_cache(self, batch_size: int | tf.Tensor, length: int | tf.Tensor) -> list[Cache]:
        """An empty cache for `length` positions: (keys, values) for each block, row by row."""
        return [block.attention.initial_cache(batch_size, length) for block in self.blocks]

    def decode(
        self,
        tokens: tf.Tensor,
        cache: list[Cache],
        start: int | tf.Tensor,
        left_padding: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, list[Cache]]:
        """Hidden states of tokens whose past is in the cache: prefill, and each step after it.

        Prompts of different lengths may be filled up on the right, with any token: each row keeps
        its own positions from 0, writes its own next token over the filling, and sees no position
        after its own. Or on the left: `left_padding` says how many slots of a row are filling.
        Either way nothing of a row depends on the other rows or on the filling.

        Args:
            tokens: int32 [B, T].
            cache: Of `initial_cache`, or what `decode` gave.
            start: int32 [B] or scalar, the slot of each row's first token here. The cache must
                have room for `start + T` slots. A Python 0 promises that the cache is empty.
            left_padding: int32 [B]; None: 0.

        Returns:
            float [B, T, D], to be given to `logits`, and the new cache.
        """
        batch, length = sizes(tokens)
        room = sizes(cache[0][0])[1]
        place = decode_context(self.settings, self.positions, tokens, room, start, left_padding)
        x = self._embed(tokens, place.positions)
        tables = turning(self.positions, place.positions)
        context = place.context | {name: rows_of(table) for name, table in tables.items()}
        x, filled = rows_of(x), []
        for block, empty in zip(self.blocks, cache, strict=True):
            x, part = block.decode(x, context, empty)
            filled.append(part)
        x = x if self.final_norm is None else self.final_norm(x)
        return tf.reshape(x, [batch, length, self.settings.hidden_dim]), filled

    def _embed(self, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """The input of the first block, before dropout."""
        x = add_positions(self.positions, self.embedding(tokens), positions)
        return x if self.embedding_norm is None else self.embedding_norm(x)

    def _first(self, _: Carry, inputs: Inputs, dropout_key: tf.Tensor | None) -> Carry:
        x = self._embed(inputs["tokens"], positions_of(inputs))
        return {"x": self.embedding_dropout(x, dropout_key), "router": tf.zeros([3])}

    def _context(self, _: Carry, inputs: Inputs) -> Context:
        tokens, segments = inputs["tokens"], inputs.get("segments")
        tables = turning(self.positions, positions_of(inputs))
        return tables | row_context(self.settings, self.positions, tokens, segments, causal=True)

    def _last(self, carry: Carry, _: Inputs, __: tf.Tensor | None) -> Carry:
        x = carry["x"]
        return {**carry, "x": x if self.final_norm is None else self.final_norm(x)}

    def _project(self, hidden: tf.Tensor) -> tf.Tensor:
        if self.output_projection is None:
            return self.embedding.logits(hidden)
        return self.output_projection(hidden)
