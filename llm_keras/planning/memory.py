"""Bytes that training needs on each device.

Letters: D hidden, N query heads, K key-value heads, H head, F feed-forward, T tokens of a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from llm_keras import config
from llm_keras.accounting.spread import slots_share, weights_share
from llm_keras.accounting.weights import Weights, weights

FLOAT32_BYTES = 4
#: Most numbers of logits that are held at once; see `training.losses`.
LOGITS_PER_BLOCK = 2**23
#: Least and most queries that attention takes at once, and the longest row that keeps its
#: probabilities; as `layers.attention_core`, which this package cannot import.
BLOCKS, KEPT_LENGTH = (128, 512), 1024
#: Parts whose matrices Muon updates; the others are AdamW's.
MUON_PARTS = ("attention", "cross_attention", "feed_forward")


def training_bytes(run: config.Run) -> dict[str, int]:
    """Bytes a device by purpose: `weights`, `gradients`, `slots`, `activations`, `logits`.

    Of several devices the first, between two steps; see `accounting.spread`.

    Weights, gradients and slots are float32; a running mean of the weights (`ema_decay`) counts as
    a slot. With `lora`, only the additions have gradients and slots. What TensorFlow itself needs,
    temporary results and what its allocator leaves unused come on top: expect the process to be
    larger.
    """
    frozen = list(weights(run.model, run.tokenizer.vocabulary_size, run.records.sequence_length))
    trained = list(_additions(frozen, run.training.lora)) if run.training.lora else frozen
    spread = run.training.parallelism
    gradients = sum(each.count * weights_share(each, spread) for each in trained)
    held = gradients
    if run.training.lora:
        held += sum(each.count * weights_share(each, spread) for each in frozen)
    kind, averages = run.training.optimizer.kind, run.training.ema_decay is not None
    slots = sum(
        (_slots(each, kind) + averages * each.count) * slots_share(each, spread) for each in trained
    )
    accumulates = run.training.gradient_accumulation_steps > 1
    logits = _tokens_at_once(run) * run.tokenizer.vocabulary_size
    logits = logits // spread.model if spread.model > 1 else min(logits, LOGITS_PER_BLOCK)
    return {
        "weights": round(FLOAT32_BYTES * held),
        # The sum over micro-batches stands beside the gradients of the current one.
        "gradients": round(FLOAT32_BYTES * gradients * (2 if accumulates else 1)),
        "slots": round(FLOAT32_BYTES * slots),
        "activations": activation_bytes(run),
        "logits": 2 * FLOAT32_BYTES * logits,  # with their gradient
    }


def _additions(frozen: list[Weights], lora: config.Lora) -> Iterator[Weights]:
    """The pairs of narrow matrices beside those that LoRA leaves as they are."""
    for each in frozen:
        if each.projection in lora.targets:
            *experts, inputs, outputs = each.shape
            yield Weights(each.part, (*experts, inputs, lora.rank), each.copies)
            yield Weights(each.part, (*experts, lora.rank, outputs), each.copies)


def _slots(each: Weights, optimizer: str) -> int:
    """Numbers that an optimizer keeps: two a weight for AdamW, fewer for the others.

    Lion keeps a mean, Muon one for matrices of blocks; Adafactor the sums of a matrix's rows and
    columns.
    """
    if optimizer == "lion":
        return each.count
    if len(each.shape) >= 2 and optimizer == "adafactor":
        *experts, rows, columns = each.shape
        return math.prod(experts) * (rows + columns) * each.copies
    if optimizer == "adafactor" or (
        optimizer == "muon" and len(each.shape) >= 2 and each.part in MUON_PARTS
    ):
        return each.count
    return 2 * each.count


def activation_bytes(run: config.Run) -> int:
    """What the forward pass keeps for the backward pass of one micro-batch.

    For each token a block keeps ``5 D`` numbers in float32 around each of its norms (two, in a
    block with cross-attention three), and in the computing precision ``2 N H + 2 K H`` for each
    attention (queries, keys, values, what attention gives) and the wide layer: ``w F``, w = 4 for
    a gated activation, 2 otherwise, for each of the k experts that see it. Attention keeps its
    probabilities, N S in float32, S being the keys a query sees: T, or on average about half of it
    where queries are taken in blocks, which keep their pieces of keys and values instead. Rows
    longer than `KEPT_LENGTH` keep neither.
    Of what rematerialization makes again, only what goes in is left, ``D`` numbers, and one such
    part at a time is whole.

    The sums were fitted to the peak memory of decoder-only processes (12 blocks against 4, D 256,
    T 256, B 8, TensorFlow 2.20 on a CPU), which they meet within 15 %; those of cross-attention
    and experts are the same count of tensors, not fitted.
    """
    stacks = [(run.model.num_layers, run.model.kind == "encoder_decoder")]
    if run.model.kind == "encoder_decoder":
        stacks.append((run.model.encoder_layers, False))
    kept = sum(layers * _block_bytes(run, crossed) for layers, crossed in stacks)
    if run.training.rematerialization != "none":
        kept = _kept_with_rematerialization(run, stacks)
    spread = run.training.parallelism
    if spread.stage > 1:
        # A device has its blocks alone; a pipeline keeps what came into them of all micro-batches
        # in flight, and makes the rest of one again.
        kept = kept // spread.stage
        if spread.strategy == "pipeline":
            micro_batches = run.training.gradient_accumulation_steps
            in_flight = min(spread.stage, micro_batches)
            if spread.schedule == "gpipe":
                in_flight = micro_batches
            kept += in_flight * run.model.hidden_dim * _number_bytes(run)
    return _tokens_at_once(run) * kept


def _kept_with_rematerialization(run: config.Run, stacks: list[tuple[int, bool]]) -> int:
    """Bytes that are left of a token's activations, with what is made again at a time."""
    kind = run.training.rematerialization
    border = run.model.hidden_dim * _number_bytes(run)
    blocks = {crossed: _block_bytes(run, crossed) for _, crossed in stacks}
    if kind == "attention":
        parts = {crossed: _attentions_bytes(run, crossed) for crossed in blocks}
        left = sum(
            layers * (blocks[crossed] - parts[crossed] + border) for layers, crossed in stacks
        )
        return left + max(parts.values())
    kept, at_a_time = 0, 0
    for layers, crossed in stacks:
        root = math.isqrt(layers)
        group = {"block": 1, "every_n": run.training.rematerialization_blocks, "full": root}[kind]
        groups = -(-layers // group)
        whole = 1 if kind == "full" else min(group, layers)
        kept += (groups + (group if kind == "full" else 0)) * border
        at_a_time = max(at_a_time, whole * blocks[crossed])
    return kept + at_a_time


def _tokens_at_once(run: config.Run) -> int:
    """Tokens of a micro-batch on one device."""
    parts = run.training.parallelism.data * run.training.gradient_accumulation_steps
    return run.training.global_batch_size // parts * run.records.sequence_length


def _norms(crossed: bool) -> int:
    return 3 if crossed else 2


def _block_bytes(run: config.Run, crossed: bool) -> int:
    """Bytes that one block keeps of one token."""
    model, attention = run.model, _attentions_bytes(run, crossed)
    experts = model.experts.experts_per_token if model.experts else 1
    wide = (4 if model.is_gated else 2) * model.intermediate_dim * experts
    around = 5 * _norms(crossed) * model.hidden_dim * FLOAT32_BYTES
    cut = run.training.parallelism.model  # of heads and of the wide layer, not of the stream
    return around + (wide * _number_bytes(run) + attention) // cut


def _attentions_bytes(run: config.Run, crossed: bool) -> int:
    """Bytes that the attentions of one block keep of one token."""
    own = _attention_bytes(run, causal=run.model.kind != "masked_lm")
    return own + (_attention_bytes(run, causal=False) if crossed else 0)


def _attention_bytes(run: config.Run, *, causal: bool) -> int:
    """Bytes that one attention keeps of one token."""
    model, length = run.model, run.records.sequence_length
    shared = model.key_value_heads * model.head_size
    computed = 2 * model.num_query_heads * model.head_size + 2 * shared
    seen: float = length
    block = attention_block(model, length)
    if length > KEPT_LENGTH:
        seen = 0
    elif block < length and causal:
        blocks = length / block
        seen = length * (blocks + 1) / (2 * blocks)
        computed += round((blocks + 1) * shared)
    number = _number_bytes(run)
    probability = FLOAT32_BYTES + (2 if number == 2 else 0)  # softmax is float32, its product not
    return computed * number + round(model.num_query_heads * seen) * probability


def attention_block(model: config.Model, length: int) -> int:
    """Queries of a row that causal attention takes at once; see `layers.attention_core`."""
    least, most = BLOCKS
    return min(model.attention_block_length or min(max(length // 4, least), most), length)


def _number_bytes(run: config.Run) -> int:
    return FLOAT32_BYTES if run.training.precision == "float32" else 2
