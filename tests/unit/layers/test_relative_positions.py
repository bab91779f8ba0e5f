"""Relative biases: lengths, directions, precision, initial values in a model."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import RelativePositions


def _layer(causal=True, dtype="float32"):
    layer = RelativePositions(3, causal, dtype=dtype)
    layer.build()
    layer.buckets.assign(np.random.default_rng(1).normal(size=[32, 3]))
    return layer


@pytest.mark.parametrize("causal", [True, False])
def test_more_places_only_add_distances(causal):
    """The bias of a distance does not depend on the length asked for: so a cache may be longer."""
    short, long = _layer(causal)(length=40), _layer(causal)(length=200)
    np.testing.assert_array_equal(short, long[:, 160:-160])


@pytest.mark.parametrize("causal", [True, False])
def test_length_known_later(causal):
    """A graph for rows of any length makes the same biases."""
    layer = _layer(causal)
    function = tf.function(
        lambda x: layer(length=tf.shape(x)[0]), input_signature=[tf.TensorSpec([None])]
    )
    np.testing.assert_array_equal(function(tf.zeros([50])), layer(length=50))


def test_directions_have_buckets_of_their_own():
    """Without a causal mask a key before the query is another thing than one after it."""
    bias = _layer(causal=False)(length=5).numpy()
    assert (bias[:, :4] != bias[:, :4:-1]).all()


def test_far_distances_share_a_bucket():
    """At 128 and beyond all keys before the query have one bias."""
    bias = _layer(causal=True)(length=300).numpy()
    assert (bias[:, : 300 - 128] == bias[:, :1]).all()
    assert (bias[:, 299 - 100] != bias[:, 0]).all()


def test_biases_are_float32_in_mixed_precision():
    """They are added to float32 scores."""
    assert _layer(dtype="mixed_bfloat16")(length=3).dtype == tf.float32
