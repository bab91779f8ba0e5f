"""How many parameters a model has, by part, from its shape alone."""

from __future__ import annotations

from llm_keras import config
from llm_keras.accounting.weights import LOOKED_UP, PARTS, weights


def parameter_counts(
    model: config.Model, vocabulary_size: int, sequence_length: int
) -> dict[str, int]:
    """Parameters of each part of a model; their sum is that of the one that `models` builds.

    Args:
        model: The shape, of any kind.
        vocabulary_size: Tokens.
        sequence_length: Positions, which learned positions have a vector for.

    Returns:
        Numbers of weights by part, in the order of the data's path; 0 for a part that this model
        has not. A tied output projection is counted once, as the token embedding.

    >>> gpt2 = config.presets.model("gpt2_124m")
    >>> sum(parameter_counts(gpt2, *config.presets.PUBLISHED["gpt2_124m"]).values())
    124439808
    """
    counts = dict.fromkeys(PARTS, 0)
    for each in weights(model, vocabulary_size, sequence_length):
        counts[each.part] += each.count
    return counts


def active_counts(
    model: config.Model, vocabulary_size: int, sequence_length: int
) -> dict[str, int]:
    """Parameters that take part in one token: as `parameter_counts`, with k of the E experts."""
    counts = parameter_counts(model, vocabulary_size, sequence_length)
    if model.experts:
        used, experts = model.experts.experts_per_token, model.experts.num_experts
        counts["feed_forward"] = counts["feed_forward"] * used // experts
    return counts


def matrix_parameters(model: config.Model, vocabulary_size: int, sequence_length: int) -> int:
    """Parameters that each token is multiplied with: all but the tables that it is looked up in.

    Of experts those that see a token; of a tied embedding one, as the output projection.
    """
    counts = active_counts(model, vocabulary_size, sequence_length)
    looked_up = sum(counts[part] for part in LOOKED_UP)
    output = vocabulary_size * model.hidden_dim if model.tie_embeddings else 0
    return sum(counts.values()) - looked_up - counts["token_embedding"] + output


def lora_parameters(model: config.Model, lora: config.Lora) -> int:
    """Parameters of the low-rank additions: ``rank * (inputs + outputs)`` for each matrix."""
    return sum(
        lora.rank * sum(each.shape[-2:]) * each.copies
        for each in weights(model, 0, 0)
        if each.projection in lora.targets
    )
