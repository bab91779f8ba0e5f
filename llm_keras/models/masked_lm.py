"""An encoder-only language model.

B rows, T positions, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from llm_keras import config, layers
from llm_keras.layers.attention import Context
from llm_keras.models import parts
from llm_keras.models.chain import BlockPart, Carry, Inputs, Part, stack
from llm_keras.models.transformer import (
    Transformer,
    add_positions,
    positions_of,
    present,
    row_context,
    turning,
)


@keras.saving.register_keras_serializable(package="llm_keras")
class MaskedLM(Transformer):
    """Guesses masked tokens from both sides; its hidden states make vectors of texts.

    ``logits = head(block_n(...block_1(norm(embedding(tokens) + positions + types))))``

    Args:
        settings: The shape, a `config.Model` or a mapping of its fields.
        vocabulary_size: V.
        sequence_length: Most positions; learned positions have as many vectors.
        seed: Of the initial weights.

    Call arguments:
        inputs: `tokens` int32 [B, T]; perhaps `segments` int32 [B, T], the document each position
            belongs to, 0 for filling; perhaps `positions` int32 [B, T], within the document;
            perhaps `token_types` int32 [B, T], the part of the document.
            Absent: one document of one part a row, positions from 0.
        dropout_key: int32 [B, 2], see `layers.KeyedDropout`; None: no training, no dropout.

    Returns:
        Logits, float32 [B, T, V].

    >>> shape = {"kind": "masked_lm", "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32,
    ...          "num_query_heads": 4}
    >>> model = MaskedLM(shape, vocabulary_size=100, sequence_length=8)
    >>> model.sentence_vectors({"tokens": tf.constant([[5, 6, 7]])}).shape
    TensorShape([1, 16])

    References:
        Devlin et al. 2019, section 3. Differs from the source: there is no next-sentence task, and
        so no pooler (Liu et al. 2019, section 4.2, found it of no use).
    """

    kind = "masked_lm"

    def __init__(
        self,
        settings: config.Model | Mapping[str, Any],
        vocabulary_size: int,
        sequence_length: int,
        seed: int = 0,
        name: str = "masked_lm",
        **kwargs: Any,
    ) -> None:
        super().__init__(settings, vocabulary_size, sequence_length, seed, name, **kwargs)
        settings, common = self.settings, self._common
        self.embedding = parts.embedding(settings, vocabulary_size, "embedding", **common)
        self.positions = parts.positions(settings, sequence_length, False, "positions", **common)
        self.token_types = self.embedding_norm = self.final_norm = None
        if settings.num_token_types:
            self.token_types = layers.TokenTypes(
                settings.num_token_types, name="token_types", **common
            )
        if settings.embedding_norm:
            self.embedding_norm = parts.norm(settings, "embedding_norm", **common)
        self.embedding_dropout = parts.embedding_dropout(settings, "embedding_dropout", **common)
        self.blocks = [
            parts.encoder_block(settings, f"block_{index}", **common)
            for index in range(settings.num_layers)
        ]
        if settings.ends_with_norm:
            self.final_norm = parts.norm(settings, "final_norm", **common)
        self.head = layers.MaskedLMHead(
            vocabulary_size,
            settings.normalization,
            settings.normalization_epsilon,
            name="head",
            **common,
        )

    def chain(self) -> list[Part | BlockPart]:
        """Embedding, blocks, head."""
        own, shared = parts.own_and_shared(self.positions)
        first = present(self.embedding, own, self.token_types, self.embedding_norm)
        return [
            Part("embedding", first, self._first),
            *stack(self.blocks, self._context, *shared),
            Part("head", present(self.final_norm, self.head, self.embedding), self._last),
        ]

    def sentence_vectors(self, inputs: Inputs) -> tf.Tensor:
        """The mean of a row's hidden states, filling left out, at unit length: float32 [B, D].

        The product of two vectors is their cosine similarity. Arguments as `call`, one document a
        row.

        References:
            Reimers and Gurevych 2019, section 3, "MEAN".
        """
        hidden = tf.cast(self.hidden_states(inputs), tf.float32)
        segments = inputs.get("segments")
        if segments is None:
            return tf.nn.l2_normalize(tf.reduce_mean(hidden, axis=1), axis=-1)
        real = tf.cast(segments != 0, tf.float32)[..., None]
        return tf.nn.l2_normalize(tf.reduce_sum(hidden * real, axis=1), axis=-1)

    @property
    def head_variables(self) -> list[keras.Variable]:
        """What `logits` reads, as far as it is trained."""
        return [*self.embedding.trainable_variables, *self.head.trainable_variables]

    def _first(self, _: Carry, inputs: Inputs, dropout_key: tf.Tensor | None) -> Carry:
        x = self.embedding(inputs["tokens"])
        x = add_positions(self.positions, x, positions_of(inputs))
        if self.token_types is not None:
            x = self.token_types(x, inputs.get("token_types"))
        x = x if self.embedding_norm is None else self.embedding_norm(x)
        return {"x": self.embedding_dropout(x, dropout_key), "router": tf.zeros([3])}

    def _context(self, _: Carry, inputs: Inputs) -> Context:
        tokens, segments = inputs["tokens"], inputs.get("segments")
        tables = turning(self.positions, positions_of(inputs))
        return tables | row_context(self.settings, self.positions, tokens, segments, causal=False)

    def _last(self, carry: Carry, _: Inputs, __: tf.Tensor | None) -> Carry:
        x = carry["x"]
        return {**carry, "x": x if self.final_norm is None else self.final_norm(x)}

    def _project(self, hidden: tf.Tensor) -> tf.Tensor:
        return self.head(hidden, embedding=self.embedding)
