"""Functions that XLA compiles, and only where somebody says so."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import fusion
from llm_keras.layers.attention_core import softmax
from llm_keras.layers.gelu import gelu
from llm_keras.layers.normalization import LayerNorm, RMSNorm

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return tf.constant(RANDOM.normal(size=shape).astype("float32"))


def holds_xla(function):
    graph = function.get_concrete_function().graph.as_graph_def()
    return any(each.attr["_XlaMustCompile"].b for each in graph.library.function)


def norm(kind):
    layer = kind(epsilon=1e-5)
    layer.build((None, 8))
    for variable in layer.weights:
        variable.assign(numbers(*variable.shape))
    return layer


WAYS = {
    "layer_norm": (norm(LayerNorm), [numbers(4, 6, 8)]),
    "rms_norm": (norm(RMSNorm), [numbers(4, 6, 8)]),
    "gelu": (lambda x: gelu(x, approximate=False), [numbers(4, 6)]),
    "gelu_tanh": (lambda x: gelu(x, approximate=True), [numbers(4, 6)]),
    "softmax": (softmax, [numbers(2, 2, 1, 4, 4), numbers(1, 2, 1, 4, 4)]),
}


@pytest.mark.parametrize("way", WAYS)
def test_compiled_or_not_value_and_gradient_are_the_same(way, monkeypatch):
    monkeypatch.setattr(fusion, "LEAST_NUMBERS", 1)
    function, given = WAYS[way]
    weights = [variable.value for variable in getattr(function, "weights", ())]

    def traced():
        def step():
            with tf.GradientTape() as tape:
                tape.watch(given)
                value = function(*given)
            by = tape.gradient(value, [*given, *weights], output_gradients=tf.cos(value))
            return value, *by

        return tf.function(step, autograph=False)

    plain, fused = traced(), traced()
    with fusion.fusing():
        assert holds_xla(fused)
    assert not holds_xla(plain)
    for one, other in zip(plain(), fused(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)


def test_a_small_tensor_is_not_compiled():
    double = fusion.fusible(lambda x: x + x)
    with fusion.fusing():
        assert holds_xla(tf.function(lambda: double(tf.zeros([fusion.LEAST_NUMBERS]))))
        assert not holds_xla(tf.function(lambda: double(tf.zeros([fusion.LEAST_NUMBERS - 1]))))


def test_nor_is_one_of_unknown_size():
    double = fusion.fusible(lambda x: x + x)
    with fusion.fusing():
        unknown = tf.function(double, input_signature=[tf.TensorSpec([None, 2**16])])
        assert not holds_xla(unknown)


def test_fusing_can_be_switched_off_within():
    double = fusion.fusible(lambda x: x + x)
    with fusion.fusing(), fusion.fusing(wanted=False):
        assert not holds_xla(tf.function(lambda: double(tf.zeros([fusion.LEAST_NUMBERS]))))
