"""Bytes that training needs on each device.

Letters: D hidden, N query heads, K key-value heads, H head, F feed-forward, V vocabulary, T tokens
of a row, L layers.
"""

from __future__ import annotations

from llm_keras import config
from llm_keras.planning.parameters import parameter_counts

FLOAT32_BYTES = 4
#: AdamW keeps a mean and a mean square for each weight.
SLOTS = 2
#: Most numbers of logits that are held at once; see `training.losses`.
LOGITS_PER_BLOCK = 2**23


def training_bytes(run: config.Run) -> dict[str, int]:
    """Bytes a device by purpose: `weights`, `gradients`, `slots`, `activations`, `logits`.

    Weights, gradients and slots are float32. What TensorFlow itself needs, temporary results and
    what its allocator leaves unused come on top: expect the process to be larger.
    """
    counts = parameter_counts(run.model, run.tokenizer.vocabulary_size, run.records.sequence_length)
    weights = FLOAT32_BYTES * sum(counts.values())
    accumulates = run.training.gradient_accumulation_steps > 1
    tokens = _tokens_at_once(run)
    logits = min(tokens * run.tokenizer.vocabulary_size, LOGITS_PER_BLOCK)
    return {
        "weights": weights,
        # The sum over micro-batches stands beside the gradients of the current one.
        "gradients": weights * (2 if accumulates else 1),
        "slots": SLOTS * weights,
        "activations": activation_bytes(run),
        "logits": 2 * FLOAT32_BYTES * logits,  # with their gradient
    }


def activation_bytes(run: config.Run) -> int:
    """What the forward pass keeps for the backward pass of one micro-batch.

    A block keeps, for each token: the inputs of its norms, of its matrix products and of its
    activation, ``4 D + 2 N H + 2 K H + w F`` numbers with w = 4 for swiglu and 2 otherwise, and
    the attention probabilities, N T numbers (half with `attention_block_length`, about).
    With `rematerialization: block` it keeps its input, D numbers, and one block at a time is whole.
    """
    model = run.model
    number = 2 if run.training.precision == "bfloat16" else FLOAT32_BYTES
    block = number * _numbers_kept(model) + _probability_bytes(run)
    if run.training.rematerialization == "none":
        return _tokens_at_once(run) * model.num_layers * block
    return _tokens_at_once(run) * (model.num_layers * model.hidden_dim * number + block)


def _tokens_at_once(run: config.Run) -> int:
    """Tokens of a micro-batch on one device."""
    parts = run.training.parallelism.data * run.training.gradient_accumulation_steps
    return run.training.global_batch_size // parts * run.records.sequence_length


def _numbers_kept(model: config.Model) -> int:
    heads = 2 * (model.num_query_heads + model.key_value_heads) * model.head_size
    wide = 4 if model.activation == "swiglu" else 2
    return 4 * model.hidden_dim + heads + wide * model.intermediate_dim


def _probability_bytes(run: config.Run) -> int:
    """Of the attention probabilities that one query token of one block keeps, over all heads."""
    length, block = run.records.sequence_length, run.model.attention_block_length
    seen = (length + block) / 2 if block else length
    return round(run.model.num_query_heads * seen * FLOAT32_BYTES)
