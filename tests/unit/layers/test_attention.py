"""Attention against the paper's equations in NumPy, and what a row may see."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import Attention, RotaryPositions
from llm_keras.layers.attention_core import attend, attend_one
from llm_keras.layers.masks import RowMask, causal_mask, segment_mask

RANDOM = np.random.default_rng(7)


def _normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def _reference(query, key, value, seen):
    """Vaswani et al. 2017, equation 1, one head and one query at a time; seen [B, T, S]."""
    batch, length, heads, width = query.shape
    groups = heads // key.shape[2]
    out = np.zeros(query.shape)
    for b in range(batch):
        for head in range(heads):
            for t in range(length):
                keys = key[b, seen[b, t], head // groups]
                values = value[b, seen[b, t], head // groups]
                scores = keys @ query[b, t, head] / np.sqrt(width)
                weights = np.exp(scores - scores.max())
                out[b, t, head] = weights / weights.sum() @ values
    return out


@pytest.mark.parametrize("shared", [1, 2, 4])
@pytest.mark.parametrize("block_length", [None, 2, 3, 6])
def test_equals_the_equation(shared, block_length):
    """Grouped heads, whole or in blocks of queries, give the paper's sums."""
    query, key, value = _normal(2, 6, 4, 8), _normal(2, 6, shared, 8), _normal(2, 6, shared, 8)
    segments = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 2, 2, 2, 0]])
    seen = (segments[:, :, None] == segments[:, None, :]) & np.tri(6, dtype=bool)
    mask = RowMask(6, causal=True, segments=tf.constant(segments))
    result = attend(query, key, value, mask, block_length)
    np.testing.assert_allclose(result, _reference(query, key, value, seen), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [1, 2, 4])
def test_one_query_on_the_cache_equals_the_equation(shared):
    """The layout for one token a row gives what the general form gives."""
    query, key, value = _normal(3, 1, 4, 8), _normal(3, 9, shared, 8), _normal(3, 9, shared, 8)
    seen = np.arange(9) < np.array([[[4]], [[9]], [[1]]])
    flat = [part.reshape(3, 9, shared * 8) for part in (key, value)]
    result = attend_one(query[:, 0], *flat, tf.where(seen, 0.0, -1e9)[:, None])
    expected = _reference(query, key, value, seen)[:, 0]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_blocks_have_the_gradients_of_the_whole():
    """Taking queries in blocks changes no gradient."""
    parts = [tf.constant(_normal(2, 8, heads, 4)) for heads in (4, 2, 2)]

    def gradients(block_length):
        with tf.GradientTape() as tape:
            tape.watch(parts)
            attended = attend(*parts, RowMask(8, causal=True), block_length)
            loss = tf.reduce_sum(attended**2)
        return tape.gradient(loss, parts)

    for blocks, whole in zip(gradients(2), gradients(None), strict=True):
        np.testing.assert_allclose(blocks, whole, rtol=1e-5, atol=1e-6)


def test_blocks_compute_fewer_scores():
    """With four blocks, 10 of the 16 tiles of scores are computed, and no more."""

    def score_numbers(block_length):
        @tf.function
        def function(query):
            return attend(query, query, query, RowMask(64, causal=True), block_length)

        graph = function.get_concrete_function(tf.TensorSpec([1, 64, 2, 8])).graph
        softmaxes = [op for op in graph.get_operations() if op.type == "Softmax"]
        return sum(op.outputs[0].shape.num_elements() for op in softmaxes)

    assert score_numbers(16) == score_numbers(None) * 10 // 16


@pytest.mark.parametrize("length", [None, 5])
def test_rows_that_no_block_divides_are_taken_whole(length):
    """A graph for any length, or an odd one, gives the same sums."""
    query = _normal(1, 5, 2, 8)
    whole = attend(query, query, query, causal_mask(5))

    @tf.function(input_signature=[tf.TensorSpec([1, length, 2, 8])])
    def function(query):
        return attend(query, query, query, causal_mask(tf.shape(query)[1]), block_length=4)

    np.testing.assert_allclose(function(query), whole, rtol=1e-5, atol=1e-6)


def test_filling_stays_finite():
    """A row of filling only attends within the filling and gives no NaN."""
    part = _normal(1, 4, 2, 8)
    assert np.isfinite(attend(part, part, part, segment_mask(np.zeros([1, 4], int)))).all()


def _layer(**changes):
    settings = {"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 8, **changes}
    layer = Attention(**settings, name="attention")
    layer.build((None, None, 12))
    return layer


def test_layer_equals_its_equation():
    """Projections, rotation, attention and output are wired as the docstring's equation says."""
    layer = _layer(biases="all")
    for weight in layer.weights:
        weight.assign(_normal(*weight.shape))
    x, positions = _normal(2, 5, 12), np.arange(5)
    cos, sin = RotaryPositions(8)(positions)
    result = layer(x, {"mask": causal_mask(5), "cos": cos, "sin": sin})

    def project(part, heads):
        return (x @ part.kernel.numpy() + part.bias.numpy()).reshape(2, 5, heads, 8)

    def turn(heads):
        angles = positions[:, None] * 10_000.0 ** (-np.arange(4) / 4)
        pairs = (heads[..., :4] + 1j * heads[..., 4:]) * np.exp(1j * angles)[:, None]
        return np.concatenate([pairs.real, pairs.imag], -1)

    seen = np.broadcast_to(np.tri(5, dtype=bool), [2, 5, 5])
    query, key, value = project(layer.query, 4), project(layer.key, 2), project(layer.value, 2)
    attended = _reference(turn(query), turn(key), value, seen).reshape(2, 5, 32)
    expected = attended @ layer.output_projection.kernel.numpy()
    expected += layer.output_projection.bias.numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_heads_that_do_not_group_are_refused():
    """The error names both numbers."""
    with pytest.raises(ValueError, match="multiple of num_key_value_heads, got 4 and 3"):
        _layer(num_key_value_heads=3)
