"""The Transformer of the paper: an encoder that reads, a decoder that writes.

B rows, S positions of the source, T positions of the target, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from llm_keras import config, layers
from llm_keras.layers.attention import Context
from llm_keras.layers.masks import filling_mask
from llm_keras.layers.shapes import sizes
from llm_keras.models import chain, parts
from llm_keras.models.chain import BlockPart, Carry, Inputs, Part, stack
from llm_keras.models.decoding import decode_context, rows_of
from llm_keras.models.transformer import (
    Transformer,
    add_positions,
    present,
    row_context,
    turning,
)

Cache = dict[str, Any]


@keras.saving.register_keras_serializable(package="llm_keras")
class EncoderDecoder(Transformer):
    """Writes one sequence while it attends to another.

    The encoder, step by step, with the layer of each:

    1. embedding: a vector for each token of the source, times sqrt(D) (`encoder_embedding`, or
       `embedding` where both sides share it);
    2. positions: added to it (`encoder_positions`), and dropout over the sum;
    3. residual: the block's input is kept aside, to be added in step 5;
    4. self-attention: each position gathers from all (`encoder_block_0/attention`);
    5. normalization of the sum of 3 and 4 (`attention_norm`);
    6. residual: that is kept aside, to be added in step 8;
    7. feed-forward: D to F and back (`feed_forward`);
    8. normalization of the sum of 6 and 7 (`feed_forward_norm`).

    The decoder:

    1. embedding of the target's tokens so far (`decoder_embedding` or `embedding`);
    2. positions (`decoder_positions`), and dropout;
    3. residual, added in step 5;
    4. masked self-attention: no position sees a later one (`decoder_block_0/attention`);
    5. normalization of the sum of 3 and 4 (`attention_norm`);
    6. residual, added in step 8;
    7. encoder-decoder attention: queries of the decoder, keys and values of the encoder's output
       (`cross_attention`);
    8. normalization of the sum of 6 and 7 (`cross_attention_norm`);
    9. residual, added in step 11;
    10. feed-forward (`feed_forward`);
    11. normalization of the sum of 9 and 10 (`feed_forward_norm`).

    Steps 3 to 8, and 3 to 11, are repeated in every block, six times in the paper. Last, the
    output projection gives a score for each token of the vocabulary; it is the embedding's matrix
    where `tie_embeddings`.

    Where the paper differs from the usual telling: a residual is no layer but the addition around
    a sublayer, so that steps 3 to 5 are one formula, ``LayerNorm(x + Sublayer(x))`` (section 3.1);
    the attention of step 7 is not masked causally, only filling is hidden (3.2.3); attention's
    weights come from projected queries and keys, not from embeddings (3.2.2). With
    `norm_placement: pre` the norms stand before the sublayers, and `encoder_norm` and
    `decoder_norm` close the stacks.

    Args:
        settings: The shape, a `config.Model` or a mapping of its fields.
        vocabulary_size: V, of both sides.
        sequence_length: Most positions of each side.
        seed: Of the initial weights.

    Call arguments:
        inputs: `source` int32 [B, S]; perhaps `source_segments` int32 [B, S], 0 for filling;
            `tokens` int32 [B, T], what the decoder has written so far; perhaps `segments` int32
            [B, T], 0 for filling.
        dropout_key: int32 [B, 2], see `layers.KeyedDropout`; None: no training, no dropout.

    Returns:
        Logits of each next token, float32 [B, T, V].

    >>> shape = {"kind": "encoder_decoder", "num_layers": 2, "hidden_dim": 16,
    ...          "intermediate_dim": 32, "num_query_heads": 4}
    >>> model = EncoderDecoder(shape, vocabulary_size=100, sequence_length=8)
    >>> source, tokens = tf.constant([[5, 6, 7, 8]]), tf.constant([[2, 9]])
    >>> model({"source": source, "tokens": tokens}).shape
    TensorShape([1, 2, 100])

    References:
        Vaswani et al. 2017, sections 3.1 to 3.5.
    """

    kind = "encoder_decoder"

    def __init__(
        self,
        settings: config.Model | Mapping[str, Any],
        vocabulary_size: int,
        sequence_length: int,
        seed: int = 0,
        name: str = "encoder_decoder",
        **kwargs: Any,
    ) -> None:
        super().__init__(settings, vocabulary_size, sequence_length, seed, name, **kwargs)
        settings, common = self.settings, self._common
        self._make_embeddings()
        self.encoder_positions = parts.positions(
            settings, sequence_length, False, "encoder_positions", **common
        )
        self.encoder_dropout = parts.embedding_dropout(settings, "encoder_dropout", **common)
        self.encoder_blocks = [
            parts.encoder_block(settings, f"encoder_block_{index}", **common)
            for index in range(settings.encoder_layers)
        ]
        self.decoder_positions = parts.positions(
            settings, sequence_length, True, "decoder_positions", **common
        )
        self.decoder_dropout = parts.embedding_dropout(settings, "decoder_dropout", **common)
        self.decoder_blocks = [
            parts.decoder_block(settings, f"decoder_block_{index}", cross_attention=True, **common)
            for index in range(settings.num_layers)
        ]
        self.encoder_norm = self.decoder_norm = None
        if settings.ends_with_norm:
            self.encoder_norm = parts.norm(settings, "encoder_norm", **common)
            self.decoder_norm = parts.norm(settings, "decoder_norm", **common)
        self.output_projection = None
        if not settings.tie_embeddings:
            self.output_projection = layers.Linear(
                vocabulary_size, ("hidden", "vocabulary"), name="output_projection", **common
            )

    def chain(self) -> list[Part | BlockPart]:
        """The encoder's embedding and blocks, what it hands over, the same of the decoder, head."""
        head = self.decoder_embedding if self.output_projection is None else self.output_projection
        own, shared = parts.own_and_shared(self.decoder_positions)
        return [
            *self._encoder(),
            Part("decoder_embedding", present(self.decoder_embedding, own), self._first_of_target),
            *stack(self.decoder_blocks, self._target_context, *shared),
            Part("head", present(self.decoder_norm, head), self._last),
        ]

    def encode(self, inputs: Inputs) -> tf.Tensor:
        """What the decoder attends to, float [B, S, D]; reads `source` and `source_segments`."""
        return chain.run(self._encoder(), {}, inputs, None, self.run_blocks)["memory"]

    @property
    def head_variables(self) -> list[keras.Variable]:
        """What `logits` reads, as far as it is trained."""
        layer = self.decoder_embedding if self.output_projection is None else self.output_projection
        return list(layer.trainable_variables)

    def initial_cache(
        self,
        batch_size: int | tf.Tensor,
        length: int | tf.Tensor,
        source: tf.Tensor,
        source_segments: tf.Tensor | None = None,
    ) -> Cache:
        """The encoded source, and room for `length` tokens of the target.

        Args:
            batch_size: B.
            length: Slots.
            source: int32 [B, S].
            source_segments: int32 [B, S], 0 for filling; None: all are real.

        Returns:
            `blocks`: (keys, values) of each block's own past; `memories`: those of the source;
            `memory_mask` float32 [B, 1, 1, S]. The first axis of every tensor is the row.
        """
        inputs = {"source": source, "source_segments": source_segments}
        memory, mask = self.encode(inputs), self._memory_mask(inputs)
        return {
            "blocks": [
                block.attention.initial_cache(batch_size, length) for block in self.decoder_blocks
            ],
            "memories": [block.cross_attention.memorize(memory) for block in self.decoder_blocks],
            "memory_mask": tf.broadcast_to(mask, [batch_size, 1, 1, sizes(source)[1]]),
        }

    def decode(
        self,
        tokens: tf.Tensor,
        cache: Cache,
        start: int | tf.Tensor,
        left_padding: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Cache]:
        """Hidden states of target tokens whose past is in the cache; as `CausalLM.decode`."""
        batch, length = sizes(tokens)
        room = sizes(cache["blocks"][0][0])[1]
        place = decode_context(
            self.settings, self.decoder_positions, tokens, room, start, left_padding
        )
        x = self._embed_target(tokens, place.positions)
        tables = turning(self.decoder_positions, place.positions)
        context = place.context | {name: rows_of(table) for name, table in tables.items()}
        context["memory_mask"] = cache["memory_mask"]
        x, filled = rows_of(x), []
        for block, empty, memory in zip(
            self.decoder_blocks, cache["blocks"], cache["memories"], strict=True
        ):
            x, part = block.decode(x, context, empty, memory)
            filled.append(part)
        x = x if self.decoder_norm is None else self.decoder_norm(x)
        hidden = tf.reshape(x, [batch, length, self.settings.hidden_dim])
        return hidden, {**cache, "blocks": filled}

    def _make_embeddings(self) -> None:
        """One embedding that both sides read, or one for each."""
        settings, common = self.settings, self._common
        if settings.share_embeddings:
            shared = parts.embedding(settings, self.vocabulary_size, "embedding", **common)
            self.encoder_embedding = self.decoder_embedding = shared
            return
        self.encoder_embedding, self.decoder_embedding = (
            parts.embedding(settings, self.vocabulary_size, name, **common)
            for name in ("encoder_embedding", "decoder_embedding")
        )

    def _encoder(self) -> list[Part | BlockPart]:
        own, shared = parts.own_and_shared(self.encoder_positions)
        return [
            Part("encoder_embedding", present(self.encoder_embedding, own), self._first_of_source),
            *stack(self.encoder_blocks, self._source_context, *shared),
            Part("memory", present(self.encoder_norm), self._memory),
        ]

    def _first_of_source(self, _: Carry, inputs: Inputs, dropout_key: tf.Tensor | None) -> Carry:
        source = inputs["source"]
        x, places = self.encoder_embedding(source), tf.range(sizes(source)[1])
        x = add_positions(self.encoder_positions, x, places)
        return {"x": self.encoder_dropout(x, dropout_key), "router": tf.zeros([3])}

    def _source_context(self, _: Carry, inputs: Inputs) -> Context:
        source, segments = inputs["source"], inputs.get("source_segments")
        tables = turning(self.encoder_positions, tf.range(sizes(source)[1]))
        return tables | row_context(
            self.settings, self.encoder_positions, source, segments, causal=False
        )

    def _memory(self, carry: Carry, _: Inputs, __: tf.Tensor | None) -> Carry:
        x = carry["x"]
        memory = x if self.encoder_norm is None else self.encoder_norm(x)
        return {"memory": memory, "router": carry["router"]}

    def _first_of_target(
        self, carry: Carry, inputs: Inputs, dropout_key: tf.Tensor | None
    ) -> Carry:
        tokens = inputs["tokens"]
        x = self._embed_target(tokens, tf.range(sizes(tokens)[1]))
        return {**carry, "x": self.decoder_dropout(x, dropout_key)}

    def _target_context(self, carry: Carry, inputs: Inputs) -> Context:
        tokens, segments = inputs["tokens"], inputs.get("segments")
        tables = turning(self.decoder_positions, tf.range(sizes(tokens)[1]))
        rows = row_context(self.settings, self.decoder_positions, tokens, segments, causal=True)
        memory = {"memory": carry["memory"], "memory_mask": self._memory_mask(inputs)}
        return tables | rows | memory

    def _last(self, carry: Carry, _: Inputs, __: tf.Tensor | None) -> Carry:
        x = carry["x"]
        x = x if self.decoder_norm is None else self.decoder_norm(x)
        return {"x": x, "router": carry["router"]}

    def _embed_target(self, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        return add_positions(self.decoder_positions, self.decoder_embedding(tokens), positions)

    def _memory_mask(self, inputs: Inputs) -> tf.Tensor:
        segments = inputs.get("source_segments")
        if segments is None:
            return tf.zeros([1, 1, 1, sizes(inputs["source"])[1]])
        return filling_mask(segments)

    def _project(self, hidden: tf.Tensor) -> tf.Tensor:
        if self.output_projection is None:
            return self.decoder_embedding.logits(hidden)
        return self.output_projection(hidden)
