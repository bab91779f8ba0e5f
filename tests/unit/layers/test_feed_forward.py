"""The feed-forward layer against its papers' equations."""

import math

import numpy as np
import pytest

from llm_keras.layers import FeedForward

X = np.random.default_rng(3).normal(size=[2, 3, 6]).astype("float32")
erf = np.vectorize(math.erf)


def _gelu_tanh(x):
    """Hendrycks and Gimpel 2016, section 2, the approximation by tanh."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "gelu_tanh": _gelu_tanh,
}


def _layer(activation, use_bias):
    layer = FeedForward(10, activation, use_bias)
    layer.build(X.shape)
    random = np.random.default_rng(5)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_equals_the_equation(activation):
    """``f(x W_up + b) W_down + b`` with each function."""
    layer = _layer(activation, use_bias=True)
    up, up_bias, down, down_bias = (weight.numpy() for weight in layer.weights)
    expected = FUNCTIONS[activation](X @ up + up_bias) @ down + down_bias
    np.testing.assert_allclose(layer(X), expected, rtol=1e-4, atol=1e-4)


def test_swiglu_equals_the_equation():
    """Shazeer 2020, equation 6: the gate goes through silu, the other product does not."""
    layer = _layer("swiglu", use_bias=False)
    gate, up, down = (p.kernel.numpy() for p in (layer.gate, layer.up, layer.down))
    gated = X @ gate / (1 + np.exp(-(X @ gate)))
    np.testing.assert_allclose(layer(X), (gated * (X @ up)) @ down, rtol=1e-4, atol=1e-4)


def test_unknown_activation_is_refused():
    """The error lists the known ones."""
    with pytest.raises(ValueError, match=r"\('swiglu'.*'relu'\), got 'mish'"):
        FeedForward(10, "mish")
