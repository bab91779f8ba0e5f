"""The decoder block: where norms and residuals stand, and that it can be computed again."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import DecoderBlock
from llm_keras.layers.masks import causal_mask

X = np.random.default_rng(1).normal(size=[3, 4, 8]).astype("float32")
ATTENTION = {"num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 4}
FEED_FORWARD = {"intermediate_dim": 12}
KEY = tf.constant([[9, 0], [9, 1], [9, 2]])


def _block(**settings):
    block = DecoderBlock(ATTENTION, FEED_FORWARD, **settings, name="block")
    block.build((None, None, 8))
    return block


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_norms_stand_where_the_papers_put_them(placement):
    """Pre: ``x + f(norm(x))``; post: ``norm(x + f(x))``."""
    block = _block(norm_placement=placement, normalization="layer_norm")
    context = {"mask": causal_mask(4)}
    if placement == "pre":
        x = X + block.attention(block.attention_norm(X), context)
        expected = x + block.feed_forward(block.feed_forward_norm(x))
    else:
        x = block.attention_norm(X + block.attention(X, context))
        expected = block.feed_forward_norm(x + block.feed_forward(x))
    np.testing.assert_allclose(block(X, context).x, expected, rtol=1e-6)


def test_computing_again_gives_the_same_gradients_with_dropout():
    """`tf.recompute_grad` around the block, as rematerialization does it, changes no gradient."""
    block = _block(dropout=0.3)
    context = {"mask": causal_mask(4)}

    @tf.function(autograph=False)
    def gradients(x, recompute):
        call = lambda x: block(x, context, KEY).x  # noqa: E731
        if recompute:
            call = tf.recompute_grad(call)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(call(x) ** 2)
        return tape.gradient(loss, [x, *(weight.value for weight in block.weights)])

    plain, again = gradients(X, False), gradients(X, True)
    assert len(plain) == 1 + len(block.weights)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_its_dropouts_and_those_of_other_blocks_differ():
    """Each layer's salt is its name's."""
    salts = {
        layer.salt
        for name in ("block_0", "block_1")
        for block in [
            DecoderBlock(ATTENTION, FEED_FORWARD, dropout=0.5, cross_attention=True, name=name)
        ]
        for layer in (
            block.attention_dropout,
            block.cross_attention_dropout,
            block.feed_forward_dropout,
        )
    }
    assert len(salts) == 6


def test_unknown_placement_is_refused():
    """The error names both known ones."""
    with pytest.raises(ValueError, match=r"'pre', 'post'.*got 'between'"):
        _block(norm_placement="between")
