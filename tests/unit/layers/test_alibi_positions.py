"""Linear biases: their shape, and that more places change nothing."""

import numpy as np
import tensorflow as tf

from llm_keras.layers import AlibiPositions


def test_more_places_only_add_distances():
    """The bias of a distance does not depend on the length asked for: so a cache may be longer."""
    short, long = AlibiPositions(6)(length=4), AlibiPositions(6)(length=9)
    np.testing.assert_array_equal(short, long[:, 5:-5])


def test_length_known_later():
    """A graph for rows of any length makes the same biases."""
    layer = AlibiPositions(4)
    function = tf.function(
        lambda x: layer(length=tf.shape(x)[0]), input_signature=[tf.TensorSpec([None])]
    )
    np.testing.assert_array_equal(function(tf.zeros([5])), layer(length=5))


def test_stays_float32_in_mixed_precision():
    """bfloat16 cannot tell the distances 300 and 301."""
    bias = AlibiPositions(8, dtype="mixed_bfloat16")(length=302)
    assert bias.dtype == tf.float32
    assert bias[0, 0] != bias[0, 1]
