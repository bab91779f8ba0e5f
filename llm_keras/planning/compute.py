"""Floating-point operations of training."""

from __future__ import annotations

from llm_keras import config
from llm_keras.planning.parameters import matrix_parameters


def flops_per_token(model: config.Model, vocabulary_size: int, sequence_length: int) -> int:
    """Operations to train on one token, forward and backward.

    ``6 P + 12 L N H T``: each of P matrix parameters is multiplied and added once forward and twice
    backward; so is each pair of a query and a key with their values, over L layers of N heads of
    size H. Norms, activations, the softmax and the optimizer are left out: a percent or so.

    The convention for model FLOPs: pairs that the causal mask hides count, as they do in
    published figures, and recomputation does not (see `recomputed_flops_per_token`).

    Args:
        model: The shape.
        vocabulary_size: Tokens.
        sequence_length: T.

    References:
        Chowdhery et al. 2022, appendix B; the factor 6: Kaplan et al. 2020, section 2.1.
    """
    matrices = matrix_parameters(model, vocabulary_size, sequence_length)
    return 6 * matrices + 3 * _attention_flops(model, sequence_length)


def recomputed_flops_per_token(run: config.Run) -> int:
    """Operations that `rematerialization: block` adds: the blocks' forward pass once more."""
    if run.training.rematerialization == "none":
        return 0
    model, length = run.model, run.records.sequence_length
    blocks = matrix_parameters(model, 0, length)  # no vocabulary: neither embedding nor output
    return 2 * blocks + _attention_flops(model, length)


def _attention_flops(model: config.Model, sequence_length: int) -> int:
    """Forward operations a token of the two products in attention."""
    return 4 * model.num_layers * model.num_query_heads * model.head_size * sequence_length
