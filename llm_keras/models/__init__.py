"""Models made from a config."""

from __future__ import annotations

from llm_keras import config
from llm_keras.models.causal_lm import CausalLM
from llm_keras.models.encoder_decoder import EncoderDecoder
from llm_keras.models.masked_lm import MaskedLM
from llm_keras.models.transformer import Forward, Transformer

__all__ = [
    "CausalLM",
    "EncoderDecoder",
    "Forward",
    "MaskedLM",
    "Transformer",
    "build",
    "build_model",
]

KINDS: dict[str, type[Transformer]] = {
    model.kind: model for model in (CausalLM, EncoderDecoder, MaskedLM)
}


def build(run: config.Run) -> Transformer:
    """The model of a run, with its weights made; deterministic by `run.seed` and layer name."""
    precision = run.training.precision
    return build_model(
        run.model,
        vocabulary_size=run.tokenizer.vocabulary_size,
        sequence_length=run.records.sequence_length,
        seed=run.seed,
        dtype_policy="float32" if precision == "float32" else f"mixed_{precision}",
    )


def build_model(
    settings: config.Model,
    *,
    vocabulary_size: int,
    sequence_length: int,
    seed: int = 0,
    dtype_policy: str = "float32",
) -> Transformer:
    """A model of the settings' kind, with its weights made.

    Args:
        settings: The shape.
        vocabulary_size: Tokens.
        sequence_length: Most positions.
        seed: Of the initial weights.
        dtype_policy: "float32", or "mixed_bfloat16" or "mixed_float16" to compute in 16 bits on
            float32 weights.
    """
    kind = KINDS[settings.kind]
    model = kind(settings, vocabulary_size, sequence_length, seed, dtype=dtype_policy)
    model.build()
    return model
