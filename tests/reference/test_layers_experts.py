"""The mixture of experts against a loop over tokens: result, sums, drops, and gradients."""

import numpy as np
import pytest

from llm_keras.layers import MixtureOfExperts
from tests.reference import equations
from tests.reference.numeric import assert_follows, normal, randomize, weights_of

B, T, D, F, E = 2, 5, 4, 3, 3
X = normal(B, T, D)
REAL = np.array([[True] * 5, [True, True, False, True, False]])


def _layer(k=2, factor=None, **changes):
    return randomize(MixtureOfExperts(E, k, F, capacity_factor=factor, **changes), X.shape, 1.0)


def _check(layer, real=None, training=False):
    factor = layer.capacity_factor if training else None

    def equation(w, x):
        k = layer.experts_per_token
        return equations.experts(w, x, k, layer.activation, factor, real)

    assert_follows(layer, lambda x: layer(x, real, training=training), equation, X)
    return equation(weights_of(layer), X)[1][2]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("real", [None, REAL], ids=["all real", "filling"])
def test_top_k_without_limit(k, real):
    """The chosen experts' results, by the softmax of their logits; filling goes to none."""
    assert _check(_layer(k), real, training=True) == 0


@pytest.mark.parametrize("activation", equations.ACTIVATIONS)
@pytest.mark.parametrize("use_bias", [False, True])
def test_all_activations(activation, use_bias):
    """Each expert is a feed-forward layer, with gates and biases where it has them."""
    _check(_layer(activation=activation, use_bias=use_bias))


@pytest.mark.parametrize("factor", [0.4, 0.8, 1.0, 1.25])
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("real", [None, REAL], ids=["all real", "filling"])
def test_capacity(k, factor, real):
    """First choices before second ones, in the order of the row; what finds no room is dropped."""
    dropped = _check(_layer(k, factor), real, training=True)
    assert dropped > 0 or factor >= 1.0


def test_capacity_limits_training_only():
    """Without training every choice is served."""
    assert _check(_layer(2, 0.4), REAL, training=False) == 0


def test_rows_of_one_token_each():
    """Generation gives [N, D], as if each were a row; nobody asks for sums."""
    layer = _layer()
    y, sums = layer(X.reshape(-1, D))
    expected, _ = equations.experts(weights_of(layer), X, 2, layer.activation)
    np.testing.assert_allclose(y, expected.reshape(-1, D), atol=1e-5)
    np.testing.assert_array_equal(sums, np.zeros(3))
