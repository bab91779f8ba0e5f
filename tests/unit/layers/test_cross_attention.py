"""Attention to a memory: what it sees, and decoding from its keys and values."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import CrossAttention
from llm_keras.layers.masks import filling_mask

RANDOM = np.random.default_rng(6)
X, MEMORY = (RANDOM.normal(size=[2, n, 12]).astype("float32") for n in (3, 5))
SEGMENTS = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "int32")
CONTEXT = {"memory": MEMORY, "memory_mask": filling_mask(SEGMENTS)}


def _layer(**changes):
    settings = {"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 8, **changes}
    layer = CrossAttention(**settings, name="attention")
    layer.build((None, None, 12))
    return layer


def test_every_position_sees_the_whole_memory():
    """No order between target and source: a change of the last key changes the first query."""
    layer, changed = _layer(), MEMORY.copy()
    changed[0, 4] += 1
    before = layer(X, CONTEXT).numpy()
    after = layer(X, {**CONTEXT, "memory": changed}).numpy()
    assert (abs(before - after)[0] > 1e-6).any(axis=-1).all()
    np.testing.assert_array_equal(before[1], after[1])


def test_filling_of_the_memory_is_not_seen():
    """Whatever stands there, the result is that of the memory without it."""
    layer, changed = _layer(), MEMORY.copy()
    changed[1, 3:] = 100
    result = layer(X, {**CONTEXT, "memory": changed})
    np.testing.assert_array_equal(result, layer(X, CONTEXT))
    short = {"memory": MEMORY[1:, :3], "memory_mask": tf.zeros([1, 1, 1, 3])}
    np.testing.assert_allclose(result[1:], layer(X[1:], short), atol=1e-6)


def test_positions_of_the_target_do_not_see_each_other():
    """Each position's result is its own."""
    layer = _layer()
    alone = layer(X[:, 1:2], CONTEXT)
    np.testing.assert_allclose(layer(X, CONTEXT)[:, 1:2], alone, atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"qk_norm": True, "biases": "all", "logit_cap": 2.0}])
@pytest.mark.parametrize("steps", [[3], [1, 1, 1], [2, 1]])
def test_decoding_equals_the_call(changes, steps):
    """One token or several at once, with keys and values made before."""
    layer, pieces, start = _layer(**changes), [], 0
    cache = layer.memorize(MEMORY)
    assert [part.shape for part in cache] == [(2, 5, 16)] * 2
    for length in steps:
        slots = np.tile(np.arange(start, start + length), [2, 1])
        context = {"slots": tf.constant(slots), "memory_mask": CONTEXT["memory_mask"]}
        rows = tf.reshape(X[:, start : start + length], [-1, 12])
        y, after = layer.decode(rows, context, cache)
        assert after is cache
        pieces.append(tf.reshape(y, [2, length, 12]))
        start += length
    np.testing.assert_allclose(tf.concat(pieces, 1), layer(X, CONTEXT), atol=1e-5)


def test_mixed_precision_stays_near_float32():
    """Keys and values are kept in bfloat16; the softmax is float32."""
    mixed, exact = _layer(dtype="mixed_bfloat16"), _layer()
    mixed.set_weights(exact.get_weights())
    context = {**CONTEXT, "memory": tf.cast(MEMORY, tf.bfloat16)}
    y = mixed(tf.cast(X, tf.bfloat16), context)
    assert y.dtype == tf.bfloat16
    assert mixed.memorize(tf.cast(MEMORY, tf.bfloat16))[0].dtype == tf.bfloat16
    expected = exact(X, CONTEXT).numpy()
    assert abs(tf.cast(y, tf.float32) - expected).numpy().max() < 0.03 * abs(expected).max()
