"""Rows that are too long to keep their attention weights: the same numbers in less memory."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.layers import attention_core
from llm_keras.layers.masks import RowMask
from llm_keras.parallel.rematerialization import around

T, V = attention_core.KEPT_LENGTH + 76, 11
RANDOM = np.random.default_rng(3)
TOKENS = RANDOM.integers(0, V, [1, T]).astype("int32")
SEGMENTS = np.repeat([1, 2, 3, 0], [400, 500, T - 1000, 100])[None].astype("int32")
INPUTS = {
    "causal_lm": {"tokens": TOKENS},
    "masked_lm": {"tokens": TOKENS},
    "encoder_decoder": {"tokens": TOKENS, "source": TOKENS[:, ::-1].copy()},
}
PACKED = {"segments": SEGMENTS}
CASES = {
    "causal": ({}, {}),
    "segments": ({}, PACKED),
    "window": ({"sliding_window": 150}, PACKED),
    "capped, grouped": ({"attention_logit_cap": 2.0, "num_key_value_heads": 1}, {}),
    "alibi": ({"positions": "alibi"}, PACKED),
    "relative": ({"positions": "relative"}, PACKED),
    "both directions": ({"kind": "masked_lm"}, PACKED),
    "both directions, window": ({"kind": "masked_lm", "sliding_window": 150}, {}),
    "both directions, relative": ({"kind": "masked_lm", "positions": "relative"}, PACKED),
    "encoder and decoder": (
        {"kind": "encoder_decoder"}, {"segments": SEGMENTS != 0, "source_segments": SEGMENTS != 0},
    ),
    "encoder and decoder, relative": ({"kind": "encoder_decoder", "positions": "relative"}, {}),
}  # fmt: skip


def _model(settings, **changes):
    shape = {
        "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 8, "num_query_heads": 2,
        "initializer_range": 0.5, **settings, **changes,
    }  # fmt: skip
    return models.build_model(config.Model(**shape), vocabulary_size=V, sequence_length=T)


def _inputs(model, more):
    inputs = INPUTS[model.settings.kind] | more
    return {name: tf.cast(part, tf.int32) for name, part in inputs.items()}


def _step(model, inputs):
    """A graph of the hidden states and the gradients, and its operations of the forward pass."""
    forward = []

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            hidden = model.hidden_states(inputs)
            loss = tf.reduce_sum(tf.sin(hidden))
        forward.extend(hidden.graph.get_operations())
        weights = [weight.value for weight in model.trainable_variables]
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        return hidden, [tf.convert_to_tensor(gradient) for gradient in gradients]

    return step.get_concrete_function(), forward


def _largest_kept(graph, forward):
    """Numbers in the largest tensor that the backward pass reads of the forward pass."""
    made_forward = {operation.name for operation in forward}
    kept = [
        tensor
        for operation in graph.get_operations()
        if operation.name not in made_forward
        for tensor in operation.inputs
        if tensor.op.name in made_forward
    ]
    return max(tensor.shape.num_elements() or 0 for tensor in kept)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_whole_computation(case):
    """Values and gradients, and nothing of T x T numbers is kept for the backward pass."""
    settings, more = CASES[case]
    model = _model(settings)
    whole = _model(settings, attention_block_length=2 * T)
    inputs = _inputs(model, more)
    step, forward = _step(model, inputs)
    expected_step, expected_forward = _step(whole, inputs)
    assert _largest_kept(step.graph, forward) < T * T / 8
    assert _largest_kept(expected_step.graph, expected_forward) >= T * T  # so it would be seen
    (hidden, gradients), (expected, expected_gradients) = step(), expected_step()
    np.testing.assert_allclose(hidden, expected, atol=2e-5)
    weights = model.trainable_variables
    for weight, ours, theirs in zip(weights, gradients, expected_gradients, strict=True):
        scale = max(abs(theirs.numpy()).max(), 1e-3)
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4, err_msg=weight.path)


def test_blocks_are_computed_one_after_the_other():
    """No two blocks' scores are in memory at once: each waits for the result of the one before."""
    model = _model({})
    step, _ = _step(model, _inputs(model, {}))
    operations = step.graph.get_operations()
    softmaxes = [operation for operation in operations if operation.type == "Softmax"]
    assert len(softmaxes) >= 8  # four blocks forward, and again backward
    numbers = {operation.name: number for number, operation in enumerate(softmaxes)}
    reached = [_before(operation, numbers) for operation in softmaxes]
    assert all(reached[later] >= set(range(later)) for later in range(len(softmaxes)))


def _before(operation, numbers):
    """The numbers of those operations that must have ended before this one starts."""
    seen, left = set(), [operation]
    while left:
        current = left.pop()
        earlier = [*(tensor.op for tensor in current.inputs), *current.control_inputs]
        left += [before for before in earlier if before.name not in seen]
        seen |= {before.name for before in earlier}
    return {number for name, number in numbers.items() if name in seen}


def test_rematerialized_long_rows():
    """Blocks of queries within a block of the model that is computed again as a whole."""
    model = _model({"positions": "relative"})
    inputs = _inputs(model, PACKED)
    expected, expected_gradients = _step(model, inputs)[0]()
    model.run_blocks = around(model.run_blocks, "block")
    hidden, gradients = _step(model, inputs)[0]()
    np.testing.assert_allclose(hidden, expected, atol=1e-5)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(abs(theirs.numpy()).max(), 1))


def test_bfloat16_gradients_are_as_exact_as_in_the_whole(monkeypatch):
    """Those of keys and values are sums over blocks: in bfloat16 each addition would round."""
    monkeypatch.setattr(attention_core, "BLOCKS", (32, 32))
    parts = [tf.constant(RANDOM.normal(size=[1, T, 1, 8]), tf.float32) for _ in range(4)]

    def gradients(dtype, block_length):
        *rows, upstream = (tf.cast(part, dtype) for part in parts)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            y = attention_core.attend(*rows, RowMask(T, causal=True), block_length)
        return tape.gradient(y, rows, output_gradients=upstream)

    def errors(found):
        return [np.std(tf.cast(x, tf.float32) - y) for x, y in zip(found, exact, strict=True)]

    exact = gradients(tf.float32, T)
    whole, blocks = (errors(gradients(tf.bfloat16, length)) for length in (T, None))
    assert (np.array(blocks) < 1.1 * np.array(whole)).all()
