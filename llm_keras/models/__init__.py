"""Models made from a config."""

from __future__ import annotations

from llm_keras import config
from llm_keras.models.causal_lm import CausalLM

__all__ = ["CausalLM", "build", "build_causal_lm"]


def build(run: config.Run) -> CausalLM:
    """The model of a run, with its weights made; deterministic by `run.seed` and layer name."""
    mixed = run.training.precision == "bfloat16"
    return build_causal_lm(
        run.model,
        vocabulary_size=run.tokenizer.vocabulary_size,
        sequence_length=run.records.sequence_length,
        seed=run.seed,
        dtype_policy="mixed_bfloat16" if mixed else "float32",
    )


def build_causal_lm(
    settings: config.Model,
    *,
    vocabulary_size: int,
    sequence_length: int,
    seed: int = 0,
    dtype_policy: str = "float32",
) -> CausalLM:
    """A `CausalLM` with its weights made.

    Args:
        settings: The shape.
        vocabulary_size: Tokens.
        sequence_length: Most positions.
        seed: Of the initial weights.
        dtype_policy: "float32", or "mixed_bfloat16" to compute in bfloat16 on float32 weights.
    """
    model = CausalLM(settings, vocabulary_size, sequence_length, seed, dtype=dtype_policy)
    model.build()
    return model
