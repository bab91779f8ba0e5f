"""Floating-point operations of training."""

from __future__ import annotations

from llm_keras import config
from llm_keras.accounting.parameters import active_counts, matrix_parameters

#: Parts whose forward pass rematerialization makes again.
IN_BLOCKS = ("attention", "cross_attention", "router", "feed_forward", "norms")


def flops_per_token(model: config.Model, vocabulary_size: int, sequence_length: int) -> int:
    """Operations to train on one token, forward and backward.

    ``6 P + 12 A N H T``: each of P matrix parameters is multiplied and added once forward and twice
    backward; so is each pair of a query and a key with their values, over A attention layers of N
    heads of size H. Norms, activations, the softmax and the optimizer are left out: a percent or
    so. Of experts, P has those that see a token.

    A token of an encoder_decoder is one of the target together with one of the source, since both
    sides of a batch of pairs are filled up to one length. Of a masked_lm every token counts as
    predicted, as in other figures, although only the hidden ones are.

    The convention for model FLOPs: pairs that the causal mask hides count, as they do in
    published figures, and recomputation does not (see `recomputed_flops_per_token`). Of a sliding
    window, only the window counts.

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
    """Operations a token that rematerialization adds: forward passes of what is made again."""
    kind = run.training.rematerialization
    if kind == "none":
        return 0
    counts = active_counts(run.model, 0, run.records.sequence_length)
    parts = ("attention", "cross_attention") if kind == "attention" else IN_BLOCKS
    again = sum(counts[part] for part in parts)
    passes = 2 if kind == "full" else 1
    return passes * (2 * again + _attention_flops(run.model, run.records.sequence_length))


def _attention_flops(model: config.Model, sequence_length: int) -> int:
    """Forward operations a token of the two products in every attention layer."""
    seen = min(model.sliding_window or sequence_length, sequence_length)
    keys = model.num_layers * seen
    if model.kind == "encoder_decoder":
        keys += model.encoder_layers * seen + model.num_layers * sequence_length
    return 4 * model.num_query_heads * model.head_size * keys
