"""Encoder and decoder blocks against Vaswani et al.'s section 3.1, with gradients."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import DecoderBlock, EncoderBlock
from llm_keras.layers.masks import causal_mask, filling_mask
from tests.reference import equations
from tests.reference.equations import residual
from tests.reference.numeric import assert_follows, normal, randomize

T, S, D = 3, 2, 4
X, MEMORY = normal(2, T, D), normal(2, S, D, seed=3)
SEGMENTS = np.array([[1, 1, 1], [1, 1, 0]], "int32")
SOURCE_SEGMENTS = np.array([[1, 1], [1, 0]], "int32")
KEY = [(3, 8), (3, 9)]
EPSILON, RATE = 0.01, 0.4


def _block(kind, causal, **settings):
    attention = {
        "num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 2, "causal": causal,
    }  # fmt: skip
    feed_forward = {"intermediate_dim": 5, "activation": "gelu", "use_bias": True}
    feed_forward |= settings.pop("experts", {})
    layer = kind(attention, feed_forward, normalization_epsilon=EPSILON, **settings, name="block")
    return randomize(layer, X.shape)


def _equation(layer, causal, drops=None, experts=False):
    """The block, sublayer by sublayer; `drops` are masks by sublayer."""

    def drop(name):
        if drops is None:
            return lambda y: y
        return lambda y: np.where(drops[name], y / (1 - RATE), 0)

    def equation(w, x, memory=None):
        around = partial(residual, w, placement=layer.norm_placement, epsilon=EPSILON)
        heads = {"heads": 2, "shared": 1}

        def attend(w, x):
            seen = equations.seen_by(T, causal, segments=None if causal else SEGMENTS)
            return equations.attention(w, x, x, seen, **heads)

        def attend_to_memory(w, x):
            seen = (SOURCE_SEGMENTS != 0)[:, None]
            return equations.attention(w, x, memory, seen, **heads)

        def feed(w, x):
            if experts:
                return equations.experts(w, x, 1, "gelu")[0]
            return equations.feed_forward(w, x, "gelu")

        x = around(x, "attention", attend, drop=drop("attention"))
        if memory is not None:
            x = around(x, "cross_attention", attend_to_memory, drop=drop("cross_attention"))
        return around(x, "feed_forward", feed, drop=drop("feed_forward"))

    return equation


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("normalization", ["rms_norm", "layer_norm"])
def test_encoder_block(placement, normalization):
    """Attention in both directions, feed-forward; norms before or after."""
    layer = _block(EncoderBlock, False, norm_placement=placement, normalization=normalization)
    context = {"segments": tf.constant(SEGMENTS)}
    assert_follows(layer, lambda x: layer(x, context).x, _equation(layer, False), X)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("normalization", ["rms_norm", "layer_norm"])
def test_decoder_block(placement, normalization):
    """Masked attention, feed-forward."""
    layer = _block(DecoderBlock, True, norm_placement=placement, normalization=normalization)
    context = {"mask": causal_mask(T)}
    assert_follows(layer, lambda x: layer(x, context).x, _equation(layer, True), X)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("dropout", [0.0, RATE])
def test_decoder_block_with_memory(placement, dropout):
    """Attention to the memory lies between; each sublayer's output is dropped by its own mask."""
    layer = _block(
        DecoderBlock, True, norm_placement=placement, cross_attention=True, dropout=dropout
    )
    names = ("attention", "cross_attention", "feed_forward")
    drops = {
        name: equations.keep_mask(KEY, getattr(layer, f"{name}_dropout").salt, RATE, (T, D))
        for name in names
    }

    def call(x, memory):
        mask = filling_mask(tf.constant(SOURCE_SEGMENTS))
        context = {"mask": causal_mask(T), "memory": memory, "memory_mask": mask}
        return layer(x, context, tf.constant(KEY)).x

    equation = _equation(layer, True, drops if dropout else None)
    assert_follows(layer, call, equation, X, MEMORY)


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_block_of_experts(placement):
    """A mixture of experts takes the place of the feed-forward layer."""
    experts = {"num_experts": 2, "experts_per_token": 1}
    layer = _block(DecoderBlock, True, norm_placement=placement, experts=experts)
    context = {"mask": causal_mask(T)}
    equation = _equation(layer, True, experts=True)
    assert_follows(layer, lambda x: layer(x, context).x, equation, X)
    assert layer(X, context).router.numpy()[0] > 0
