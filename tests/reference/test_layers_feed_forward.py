"""Linear, norms, feed-forward, head and dropout against their equations, with gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import (
    FeedForward,
    KeyedDropout,
    LayerNorm,
    Linear,
    MaskedLMHead,
    RMSNorm,
    TokenEmbedding,
)
from tests.reference import equations
from tests.reference.numeric import assert_follows, normal, randomize, within

X = normal(2, 3, 6)


@pytest.mark.parametrize("use_bias", [False, True])
def test_linear(use_bias):
    """``x W + b``."""
    layer = randomize(Linear(5, ("hidden", "feed_forward"), use_bias), X.shape)
    assert ("bias" in {weight.name for weight in layer.weights}) == use_bias
    assert_follows(layer, layer, equations.linear, X)


@pytest.mark.parametrize("use_bias", [False, True])
def test_linear_with_a_low_rank_addition(use_bias):
    """Hu et al. 2022, section 4.1: ``x W + alpha / rank * x A B + b``."""
    layer = Linear(5, ("hidden", "feed_forward"), use_bias)
    layer.build(X.shape)
    layer.enable_lora(rank=2, alpha=3.0)
    randomize(layer, X.shape)

    def equation(w, x):
        return equations.linear(w, x) + 3.0 / 2 * (x @ w["lora_kernel_a"] @ w["lora_kernel_b"])

    assert_follows(layer, layer, equation, X)


@pytest.mark.parametrize(("kind", "equation"), [(RMSNorm, "rms_norm"), (LayerNorm, "layer_norm")])
@pytest.mark.parametrize("epsilon", [1e-6, 0.3])
def test_norms(kind, equation, epsilon):
    """The papers' equations, epsilon under the root."""
    layer = randomize(kind(epsilon=epsilon), X.shape)
    formula = getattr(equations, equation)
    assert_follows(layer, layer, lambda w, x: formula(w, x, epsilon), X)


@pytest.mark.parametrize("activation", equations.ACTIVATIONS)
@pytest.mark.parametrize("use_bias", [False, True])
def test_feed_forward(activation, use_bias):
    """All activations, with a gate where they have one."""
    layer = randomize(FeedForward(8, activation, use_bias), X.shape)
    assert_follows(layer, layer, lambda w, x: equations.feed_forward(w, x, activation), X)


class _HeadOfModel(keras.layers.Layer):
    """The head and the embedding that it shares with a model, so that both have their gradients."""

    def __init__(self, normalization):
        super().__init__(name="model")
        self.embedding = TokenEmbedding(7, 6, name="embedding")
        self.head = MaskedLMHead(7, normalization, 1e-3, name="head")

    def build(self, input_shape):
        self.embedding.build()
        self.head.build(input_shape)

    def call(self, x):
        return self.head(x, embedding=self.embedding)


@pytest.mark.parametrize("normalization", ["layer_norm", "rms_norm"])
def test_masked_lm_head(normalization):
    """Transform, GELU, norm, the embedding's matrix, and a bias a token."""
    layer = randomize(_HeadOfModel(normalization), X.shape)

    def equation(w, x):
        inner = equations.gelu(equations.linear(within(w, "head/transform"), x))
        inner = equations.norm(within(w, "head/norm"), inner, 1e-3)
        return inner @ w["embedding/embeddings"].T + w["head/output_bias"]

    assert_follows(layer, layer, equation, X)


def test_keyed_dropout():
    """The mask is the hash's; kept elements, and their gradients, are divided by what is kept."""
    layer, key = KeyedDropout(0.3, salt=12), [(5, 0), (5, 9)]
    mask = equations.keep_mask(key, 12, 0.3, X.shape[1:])
    assert 0.4 < mask.mean() < 0.95
    assert_follows(
        layer, lambda x: layer(x, tf.constant(key)), lambda w, x: np.where(mask, x / 0.7, 0), X
    )


def test_dropout_keeps_the_mean():
    """Over many rows each place's mean is 1, within 4 deviations of a mean of such draws."""
    rows = tf.stack([tf.fill([20_000], 3), tf.range(20_000)], axis=1)
    y = KeyedDropout(0.3)(tf.ones([20_000, 8]), rows).numpy()
    assert (abs(y.mean(0) - 1) < 4 * np.sqrt(0.3 / 0.7 / 20_000)).all()
    assert abs(np.corrcoef(y.T) - np.eye(8)).max() < 5 / np.sqrt(20_000)
