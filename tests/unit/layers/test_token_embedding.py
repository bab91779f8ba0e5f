"""The token embedding, its dense gradient, and the tied projection."""

import numpy as np
import tensorflow as tf

from llm_keras.layers import TokenEmbedding

TOKENS = tf.constant([[1, 3, 3], [0, 3, 6]])


def _layer(**kwargs):
    layer = TokenEmbedding(7, 4, embeddings_initializer="normal", **kwargs)
    layer.build()
    return layer


def test_looks_up_and_projects_with_one_matrix():
    """`logits` multiplies with the transpose of the table that tokens are looked up in."""
    layer = _layer()
    table = layer.embeddings.numpy()
    np.testing.assert_array_equal(layer(TOKENS), table[TOKENS])
    x = np.random.default_rng(0).normal(size=[2, 3, 4]).astype("float32")
    np.testing.assert_allclose(layer.logits(x), x @ table.T, rtol=1e-5, atol=1e-7)


def test_gradient_is_that_of_a_gather():
    """A token that comes three times gets the sum of three gradients; the gradient is dense."""
    layer = _layer()
    weights = tf.random.stateless_normal([2, 3, 4], [1, 2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(TOKENS) * weights)
    gradient = tape.gradient(loss, layer.embeddings.value)
    assert isinstance(gradient, tf.Tensor)
    expected = np.zeros([7, 4], "float32")
    np.add.at(expected, TOKENS.numpy(), weights.numpy())
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_mixed_precision_computes_in_bfloat16_and_gives_float32_logits():
    """Only the matrix product is in bfloat16; the gradient is float32."""
    layer = _layer(dtype="mixed_bfloat16")
    with tf.GradientTape() as tape:
        x = layer(TOKENS)
        logits = layer.logits(x)
    assert x.dtype == tf.bfloat16
    assert logits.dtype == tf.float32
    assert tape.gradient(logits, layer.embeddings.value).dtype == tf.float32
