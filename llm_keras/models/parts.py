"""From a configuration to layers, the same for all kinds of models."""

from __future__ import annotations

import math
import zlib
from typing import Any

import keras

from llm_keras import config, layers
from llm_keras.layers.normalization import normalization

#: Position layers that add to the scores of attention; the others change embeddings, queries, keys.
SCORE_POSITIONS = (layers.AlibiPositions, layers.RelativePositions)


def embedding(
    settings: config.Model, vocabulary_size: int, name: str, **common: Any
) -> layers.TokenEmbedding:
    """The token embedding, scaled where the settings say so."""
    scale = math.sqrt(settings.hidden_dim) if settings.embeddings_scaled else 1.0
    return layers.TokenEmbedding(vocabulary_size, settings.hidden_dim, scale, name=name, **common)


def positions(
    settings: config.Model, sequence_length: int, causal: bool, name: str, **common: Any
) -> keras.layers.Layer | None:
    """The layer that tells places apart; None for `positions: none`."""
    common = {"name": name, **common}
    match settings.positions:
        case "rotary":
            scaling = settings.rope_scaling
            return layers.RotaryPositions(
                settings.head_size,
                settings.rope_max_wavelength,
                settings.rope_pairing,
                scaling.model_dump() if scaling else None,
                **common,
            )
        case "learned":
            return layers.LearnedPositions(sequence_length, **common)
        case "sinusoidal":
            return layers.SinusoidalPositions(pairing=settings.sinusoidal_pairing, **common)
        case "alibi":
            return layers.AlibiPositions(settings.num_query_heads, **common)
        case "relative":
            return layers.RelativePositions(settings.num_query_heads, causal, **common)
    return None


def own_and_shared(
    positions: keras.layers.Layer | None,
) -> tuple[keras.layers.Layer | None, tuple[keras.layers.Layer, ...]]:
    """The layer as one of the embedding, or as one whose variables all blocks share."""
    is_shared = isinstance(positions, SCORE_POSITIONS)
    return (None, (positions,)) if is_shared else (positions, ())


def norm(settings: config.Model, name: str, **common: Any) -> keras.layers.Layer:
    """A normalization of the model's kind."""
    return normalization(
        settings.normalization, settings.normalization_epsilon, name=name, **common
    )


def embedding_dropout(settings: config.Model, name: str, **common: Any) -> layers.KeyedDropout:
    """The dropout of the sum of embeddings (Vaswani et al. 2017, section 5.4)."""
    return layers.KeyedDropout(
        settings.dropout, salt=zlib.crc32(name.encode()), name=name, **common
    )


def encoder_block(settings: config.Model, name: str, **common: Any) -> layers.EncoderBlock:
    """A block whose positions see each other."""
    return layers.EncoderBlock(**_block(settings, causal=False), name=name, **common)


def decoder_block(
    settings: config.Model, name: str, *, cross_attention: bool = False, **common: Any
) -> layers.DecoderBlock:
    """A block whose positions see those before them, and perhaps an encoder's output."""
    return layers.DecoderBlock(
        **_block(settings, causal=True), cross_attention=cross_attention, name=name, **common
    )


def _block(settings: config.Model, causal: bool) -> dict[str, Any]:
    feed_forward: dict[str, Any] = {
        "intermediate_dim": settings.intermediate_dim,
        "activation": settings.activation,
        "use_bias": settings.use_bias,
    }
    if settings.experts is not None:
        chosen = {"num_experts", "experts_per_token", "capacity_factor"}
        feed_forward |= settings.experts.model_dump(include=chosen)
    return {
        "attention": {
            "num_query_heads": settings.num_query_heads,
            "num_key_value_heads": settings.key_value_heads,
            "head_dim": settings.head_size,
            "biases": settings.attention_biases,
            "causal": causal,
            "window": settings.sliding_window,
            "qk_norm": settings.qk_norm,
            "norm_epsilon": settings.normalization_epsilon,
            "scale": settings.score_scale,
            "logit_cap": settings.attention_logit_cap,
            "rope_pairing": settings.rope_pairing,
            "block_length": settings.attention_block_length,
        },
        "feed_forward": feed_forward,
        "normalization": settings.normalization,
        "normalization_epsilon": settings.normalization_epsilon,
        "norm_placement": settings.norm_placement,
        "dropout": settings.dropout,
    }
