"""The weights of a model as a table: part, shape, copies; from its settings alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from llm_keras import config

#: Buckets of relative positions (Raffel et al. 2020, section 2.1).
RELATIVE_BUCKETS = 32
#: Parts of a model in the order of the data's path.
PARTS = (
    "token_embedding",
    "positions",
    "token_types",
    "attention",
    "cross_attention",
    "router",
    "feed_forward",
    "norms",
    "head",
    "output_projection",
)
#: Parts that a token is looked up in, not multiplied with.
LOOKED_UP = ("positions", "token_types")


@dataclass(frozen=True)
class Weights:
    """Variables of one shape.

    Attributes:
        part: One of `PARTS`.
        shape: Of each of them.
        copies: How many there are.
        projection: What the matrices project to or from, as `config.Lora` names them; else empty.
    """

    part: str
    shape: tuple[int, ...]
    copies: int = 1
    projection: str = ""

    @property
    def count(self) -> int:
        """Numbers in all copies."""
        return math.prod(self.shape) * self.copies


def weights(model: config.Model, vocabulary_size: int, sequence_length: int) -> Iterator[Weights]:
    """Lists all variables of a model, those of equal shape and part together.

    Args:
        model: The shape.
        vocabulary_size: Tokens.
        sequence_length: Positions, which learned positions have a vector for.
    """
    hidden, pairs = model.hidden_dim, model.kind == "encoder_decoder"
    stacks = 2 if pairs else 1
    blocks = model.num_layers + (model.encoder_layers if pairs else 0)
    crossed = model.num_layers if pairs else 0
    table = (vocabulary_size, hidden)
    yield Weights("token_embedding", table, 1 if model.share_embeddings else stacks)
    if model.positions == "learned":
        yield Weights("positions", (sequence_length, hidden), stacks)
    if model.positions == "relative":
        yield Weights("positions", (RELATIVE_BUCKETS, model.num_query_heads), stacks)
    if model.num_token_types:
        yield Weights("token_types", (model.num_token_types, hidden))
    yield from _attention(model, "attention", blocks)
    if crossed:
        yield from _attention(model, "cross_attention", crossed)
    yield from _feed_forward(model, blocks)
    yield from _norms(model, 2 * blocks + crossed, blocks + crossed, stacks)
    if model.kind == "masked_lm":
        yield Weights("head", (hidden, hidden))
        yield Weights("head", (hidden,), 1 + _vectors_of_a_norm(model))  # bias, norm
        yield Weights("head", (vocabulary_size,))
    if not model.tie_embeddings:
        yield Weights("output_projection", (hidden, vocabulary_size))


def _attention(model: config.Model, part: str, layers: int) -> Iterator[Weights]:
    hidden = model.hidden_dim
    queries = model.num_query_heads * model.head_size
    shared = model.key_value_heads * model.head_size
    widths = {"query": queries, "key": shared, "value": shared}
    for projection, width in widths.items():
        yield Weights(part, (hidden, width), layers, projection)
    yield Weights(part, (queries, hidden), layers, "output")
    if model.attention_biases != "none":
        for width in widths.values():
            yield Weights(part, (width,), layers)
    if model.attention_biases == "all":
        yield Weights(part, (hidden,), layers)


def _feed_forward(model: config.Model, layers: int) -> Iterator[Weights]:
    """One feed-forward layer a block, or as many as there are experts, in one variable each."""
    hidden, wide = model.hidden_dim, model.intermediate_dim
    experts: tuple[int, ...] = ()
    if model.experts:
        experts = (model.experts.num_experts,)
        yield Weights("router", (hidden, *experts), layers)
    widening = ("up", "gate") if model.is_gated else ("up",)
    for projection in widening:
        yield Weights("feed_forward", (*experts, hidden, wide), layers, projection)
    yield Weights("feed_forward", (*experts, wide, hidden), layers, "down")
    if model.use_bias:
        yield Weights("feed_forward", (*experts, wide), layers * len(widening))
        yield Weights("feed_forward", (*experts, hidden), layers)


def _norms(model: config.Model, in_blocks: int, attentions: int, stacks: int) -> Iterator[Weights]:
    around = stacks * model.ends_with_norm + model.embedding_norm
    yield Weights("norms", (model.hidden_dim,), (in_blocks + around) * _vectors_of_a_norm(model))
    if model.qk_norm:
        yield Weights("norms", (model.head_size,), 2 * attentions)


def _vectors_of_a_norm(model: config.Model) -> int:
    """A gain, and in layer normalization a bias."""
    return 2 if model.normalization == "layer_norm" else 1
