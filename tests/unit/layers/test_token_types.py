"""Vectors of parts: precision, and graphs of any size."""

import numpy as np
import tensorflow as tf

from llm_keras.layers import TokenTypes

X = np.random.default_rng(4).normal(size=[2, 3, 4]).astype("float32")
TYPES = np.array([[0, 0, 1], [0, 1, 1]], "int32")


def _layer(dtype="float32"):
    layer = TokenTypes(2, dtype=dtype)
    layer.build(X.shape)
    layer.embeddings.assign([[1, 2, 3, 4], [5, 6, 7, 8]])
    return layer


def test_the_vector_of_each_part_is_added():
    """Part 0 where nobody says otherwise."""
    layer, table = _layer(), np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_allclose(layer(X, TYPES), X + table[TYPES], rtol=1e-6)
    np.testing.assert_allclose(layer(X, None), X + table[0], rtol=1e-6)


def test_keeps_the_dtype_of_its_input():
    """bfloat16 in, bfloat16 out; the table stays float32."""
    layer = _layer("mixed_bfloat16")
    assert layer(tf.cast(X, tf.bfloat16), TYPES).dtype == tf.bfloat16
    assert layer.embeddings.dtype == "float32"


def test_graph_of_unknown_sizes():
    """As a SavedModel has it."""
    layer = _layer()
    function = tf.function(
        layer,
        input_signature=[tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None], tf.int32)],
    )
    np.testing.assert_array_equal(function(X, TYPES), layer(X, TYPES))
