"""The encoder block: both directions, filling, and that it can be computed again."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import EncoderBlock
from llm_keras.layers.masks import RowMask

X = np.random.default_rng(1).normal(size=[2, 5, 8]).astype("float32")
SEGMENTS = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "int32")
KEY = tf.constant([[9, 0], [9, 1]])


def _block(experts=None, **settings):
    attention = {
        "num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "causal": False,
    }  # fmt: skip
    feed_forward = {"intermediate_dim": 12, **(experts or {})}
    block = EncoderBlock(attention, feed_forward, **settings, name="block")
    block.build((None, None, 8))
    return block


def _context(segments=SEGMENTS):
    mask = RowMask(5, causal=False, segments=tf.constant(segments)).whole()
    return {"mask": mask, "real": tf.constant(segments != 0)}


def test_every_position_sees_every_other():
    """A change of the last position changes the first."""
    block, changed = _block(), X.copy()
    changed[:, 4] += 1
    segments = np.ones_like(SEGMENTS)
    before, after = (block(x, _context(segments)).x.numpy() for x in (X, changed))
    assert (abs(before - after) > 1e-7).any(-1).all()


@pytest.mark.parametrize("experts", [None, {"num_experts": 3, "experts_per_token": 2}])
def test_filling_changes_nothing(experts):
    """What stands in the filling reaches no real position, and no sum of the router."""
    block, changed = _block(experts), X.copy()
    changed[0, 3:] = 50
    before, after = (block(x, _context(), KEY) for x in (X, changed))
    np.testing.assert_array_equal(before.x[0, :3], after.x[0, :3])
    np.testing.assert_array_equal(before.router, after.router)


@pytest.mark.parametrize(
    "experts", [None, {"num_experts": 3, "experts_per_token": 2, "capacity_factor": 0.5}]
)
def test_computing_again_gives_the_same_gradients(experts):
    """`tf.recompute_grad`, with dropout and with experts that drop tokens."""
    block, context = _block(experts, dropout=0.3), _context()

    @tf.function(autograph=False)
    def gradients(x, recompute):
        call = lambda x: tuple(block(x, context, KEY))  # noqa: E731
        if recompute:
            call = tf.recompute_grad(call)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, router = call(x)
            loss = tf.reduce_sum(y**2) + tf.reduce_sum(router)
        return tape.gradient(loss, [x, *(weight.value for weight in block.weights)])

    plain, again = gradients(X, False), gradients(X, True)
    assert len(plain) == 1 + len(block.weights)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_router_sums_are_zero_without_experts():
    """So that losses need not ask."""
    np.testing.assert_array_equal(_block()(X, _context(), KEY).router, np.zeros(3))
