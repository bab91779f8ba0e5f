"""Bytes that training needs on each device.

Letters: D hidden, N query heads, K key-value heads, H head, F feed-forward, T tokens of a row.
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

    For each token a block keeps ``10 D`` numbers in float32 around its two norms, and
    ``2 N H + 2 K H + w F`` in the computing precision: queries, keys, values, what attention gives,
    and the wide layer with w = 4 for swiglu, 2 otherwise. Attention keeps its probabilities, N S
    in float32, S being the keys a query sees: T, or on average about half of it with
    `attention_block_length`, which keeps the pieces of keys and values instead.
    With `rematerialization: block`, ``4 D`` are left of a block, and one block at a time is whole.

    The sums were fitted to the peak memory of processes (12 blocks against 4, D 256, T 256, B 8,
    TensorFlow 2.20 on a CPU), which they meet within 15 %.
    """
    model = run.model
    block = _block_bytes(run)
    if run.training.rematerialization == "none":
        return _tokens_at_once(run) * model.num_layers * block
    borders = 4 * model.hidden_dim * model.num_layers * FLOAT32_BYTES
    return _tokens_at_once(run) * (borders + block)


def _tokens_at_once(run: config.Run) -> int:
    """Tokens of a micro-batch on one device."""
    parts = run.training.parallelism.data * run.training.gradient_accumulation_steps
    return run.training.global_batch_size // parts * run.records.sequence_length


def _block_bytes(run: config.Run) -> int:
    """Bytes that one block keeps of one token."""
    model, length = run.model, run.records.sequence_length
    half = run.training.precision == "bfloat16"
    number = 2 if half else FLOAT32_BYTES
    shared = model.key_value_heads * model.head_size
    wide = 4 if model.activation == "swiglu" else 2
    computed = 2 * model.num_query_heads * model.head_size + 2 * shared
    computed += wide * model.intermediate_dim
    seen: float = length
    if model.attention_block_length:
        blocks = length / model.attention_block_length
        seen = length * (blocks + 1) / (2 * blocks)
        computed += round((blocks + 1) * shared)
    probability = FLOAT32_BYTES + (2 if half else 0)  # softmax is float32, its product is not
    probabilities = round(model.num_query_heads * seen) * probability
    return 10 * model.hidden_dim * FLOAT32_BYTES + computed * number + probabilities
