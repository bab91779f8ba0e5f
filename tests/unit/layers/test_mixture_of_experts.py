"""The mixture of experts: capacity by row, routing in float32, gradients, refusals."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import MixtureOfExperts

X = np.random.default_rng(3).normal(size=[3, 6, 8]).astype("float32")


def _layer(experts=4, k=2, factor=0.75, dtype="float32", **settings):
    layer = MixtureOfExperts(experts, k, 12, capacity_factor=factor, dtype=dtype, **settings)
    layer.build(X.shape)
    return layer


def test_a_row_does_not_depend_on_its_batch_mates():
    """Capacity is counted in the row: alone or among others, it gets the same experts."""
    layer = _layer()
    together, sums = layer(X, training=True)
    alone = [layer(X[row : row + 1], training=True) for row in range(3)]
    np.testing.assert_allclose(together, tf.concat([y for y, _ in alone], 0), atol=1e-6)
    np.testing.assert_allclose(sums, sum(part.numpy() for _, part in alone), rtol=1e-5)
    assert sums[2] > 0


def test_what_finds_no_room_gives_nothing():
    """All tokens like one expert best: the first ones of the row get it, the others zeros."""
    layer = _layer(experts=3, k=1, factor=1.0)
    layer.router.kernel.assign(np.eye(8, 3) * 10)
    x = np.concatenate([np.full([2, 6, 1], 3.0), np.ones([2, 6, 7])], -1).astype("float32")
    y, sums = layer(x, training=True)
    used = (abs(y.numpy()) > 0).any(-1)
    np.testing.assert_array_equal(used, [[True, True, False, False, False, False]] * 2)
    assert sums[2] == 8


def test_capacity_is_exact():
    """1.1 x 70 / 11 is 7; float32 would say 8."""
    layer = _layer(experts=11, k=1, factor=1.1)
    layer.router.kernel.assign(np.eye(8, 11) * 10)
    x = np.tile(np.eye(8)[0] + 0.1, [1, 70, 1]).astype("float32")
    assert layer(x, training=True)[1][2] == 63


def test_even_routing_has_a_balance_of_one_a_token():
    """Fedus et al. 2022, section 2.2: the least value, where the router prefers nobody."""
    layer = _layer(experts=4, k=4)
    layer.router.kernel.assign(np.zeros([8, 4]))
    _, sums = layer(X)
    np.testing.assert_allclose(sums, [18, 18 * np.log(4) ** 2, 0], rtol=1e-5)


def test_filling_takes_no_room_and_counts_nowhere():
    """Rows with filling behind give the sums and results of the rows without it."""
    layer = _layer(factor=None)
    real = np.arange(6) < 4
    y, sums = layer(X, np.tile(real, [3, 1]), training=True)
    expected, short = layer(X[:, :4], training=True)
    np.testing.assert_allclose(y[:, :4], expected, atol=1e-6)
    np.testing.assert_array_equal(y[:, 4:], np.zeros([3, 2, 8]))
    np.testing.assert_allclose(sums, short, rtol=1e-5)


def test_a_row_of_filling_only_stays_finite():
    """Zeros, no sums, and gradients that are numbers."""
    layer = _layer()
    with tf.GradientTape() as tape:
        y, sums = layer(X, np.zeros([3, 6], bool), training=True)
        loss = tf.reduce_sum(y) + tf.reduce_sum(sums)
    gradients = tape.gradient(loss, [weight.value for weight in layer.weights])
    assert not y.numpy().any()
    assert not sums.numpy().any()
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


def test_an_expert_that_nobody_chose_learns_nothing():
    """Its gradient is zero, the router's is not."""
    layer = _layer(experts=3, k=1)
    layer.router.kernel.assign(np.eye(8, 3))
    x = abs(X)
    x[..., 1:] = 0
    with tf.GradientTape() as tape:
        y, sums = layer(x)
        loss = tf.reduce_sum(y**2) + tf.reduce_sum(sums)
    up, router = tape.gradient(loss, [layer.projections["up"].value, layer.router.kernel.value])
    up = tf.convert_to_tensor(up).numpy()
    assert up[0].any()
    assert not up[1:].any()
    assert np.any(router)


def test_the_router_computes_in_float32():
    """bfloat16 would choose others: Fedus et al. 2022, section 2.4."""
    mixed, exact = _layer(dtype="mixed_bfloat16"), _layer()
    mixed.set_weights(exact.get_weights())
    x = tf.cast(X, tf.bfloat16)
    y, sums = mixed(x, training=True)
    expected, exact_sums = exact(tf.cast(x, tf.float32), training=True)
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(sums, exact_sums, rtol=1e-5)
    difference = abs(tf.cast(y, tf.float32) - expected).numpy().max()
    assert difference < 0.03 * abs(expected.numpy()).max()


def test_graph_of_unknown_sizes():
    """A SavedModel knows neither batch nor length."""
    layer = _layer()

    @tf.function(input_signature=[tf.TensorSpec([None, None, 8])], autograph=False)
    def function(x):
        return layer(x, training=True)

    for x in (X, X[:1, :3]):
        for ours, expected in zip(function(x), layer(x, training=True), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 5}, "at most num_experts 4 experts_per_token, got 5"),
        ({"activation": "mish"}, r"\('swiglu'.*'relu'\), got 'mish'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    """The error says what was expected."""
    with pytest.raises(ValueError, match=message):
        _layer(**settings)
