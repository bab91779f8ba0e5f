"""GELU's own gradient against the derivative taken numerically."""

import math

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers.gelu import gelu

X = np.linspace(-6, 6, 481)


def _exact(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def _approximate(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(("approximate", "formula"), [(True, _approximate), (False, _exact)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_value_and_gradient(approximate, formula, dtype):
    """Central differences in float64 give the slope; an upstream gradient multiplies it."""
    x = tf.cast(X, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = 3 * gelu(x, approximate)
    tolerance = 1e-5 if dtype == "float32" else 0.05
    exact = tf.cast(x, tf.float64).numpy()
    np.testing.assert_allclose(tf.cast(y, tf.float64), 3 * formula(exact), atol=2 * tolerance)
    slope = (formula(exact + 1e-5) - formula(exact - 1e-5)) / 2e-5
    gradient = tf.cast(tape.gradient(y, x), tf.float64)
    np.testing.assert_allclose(gradient, 3 * slope, atol=2 * tolerance)


def test_the_backward_pass_computes_the_pieces_again():
    """No piece of the value, such as its tanh, is an input of the gradient: only x is kept."""
    forward = []

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = gelu(x, approximate=True)
        forward.extend(y.graph.get_operations())
        return y, tape.gradient(y, x)

    graph = step.get_concrete_function(tf.TensorSpec([4])).graph
    backward = [op for op in graph.get_operations() if op not in forward]
    kept = {tensor.op.type for op in backward for tensor in op.inputs if tensor.op in forward}
    assert kept <= {"Placeholder", "Identity", "IdentityN", "Const"}
    np.testing.assert_allclose(step(tf.zeros([4]))[1], np.full(4, 0.5))
