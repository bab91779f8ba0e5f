"""How many parameters a model has, by part, from its shape alone."""

from __future__ import annotations

from llm_keras import config


def parameter_counts(
    model: config.Model, vocabulary_size: int, sequence_length: int
) -> dict[str, int]:
    """Parameters of each part of a model; their sum is that of the built `models.CausalLM`.

    Args:
        model: The shape.
        vocabulary_size: Tokens.
        sequence_length: Positions, which learned positions have a vector for.

    Returns:
        Numbers of weights by part, in the order of the data's path. A tied output projection is
        counted once, as the token embedding.

    >>> shape = config.Model(
    ...     num_layers=12, hidden_dim=768, intermediate_dim=3072, num_query_heads=12,
    ...     positions="learned", activation="gelu_tanh", normalization="layer_norm", use_bias=True,
    ... )
    >>> sum(parameter_counts(shape, 50_257, 1024).values())  # GPT-2, the smallest
    124439808
    """
    hidden, layers = model.hidden_dim, model.num_layers
    norms = 2 * layers + (model.norm_placement == "pre")
    return {
        "token_embedding": vocabulary_size * hidden,
        "positions": sequence_length * hidden if model.positions == "learned" else 0,
        "attention": layers * _attention(model),
        "feed_forward": layers * _feed_forward(model),
        "norms": norms * hidden * (2 if model.normalization == "layer_norm" else 1),
        "output_projection": 0 if model.tie_embeddings else vocabulary_size * hidden,
    }


def matrix_parameters(model: config.Model, vocabulary_size: int, sequence_length: int) -> int:
    """Parameters that each token is multiplied with: all but the tables that it is looked up in."""
    counts = parameter_counts(model, vocabulary_size, sequence_length)
    tables = counts["positions"] + (0 if model.tie_embeddings else counts["token_embedding"])
    return sum(counts.values()) - tables


def _attention(model: config.Model) -> int:
    queries = model.num_query_heads * model.head_size
    shared = model.key_value_heads * model.head_size
    biases = queries + 2 * shared + model.hidden_dim if model.use_bias else 0
    return 2 * model.hidden_dim * (queries + shared) + biases


def _feed_forward(model: config.Model) -> int:
    widening = 2 if model.activation == "swiglu" else 1
    biases = widening * model.intermediate_dim + model.hidden_dim if model.use_bias else 0
    return (widening + 1) * model.hidden_dim * model.intermediate_dim + biases
