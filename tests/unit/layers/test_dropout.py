"""Dropout masks: a function of their arguments, even, and independent of each other."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import KeyedDropout
from llm_keras.layers.dropout import keep_mask

SHAPE = tf.TensorShape([64, 96])
NUMBERS = 8 * 64 * 96


def _key(step, rows):
    return tf.stack([tf.fill([len(rows)], step), tf.constant(rows, tf.int32)], axis=1)


def _mask(step=0, rows=range(8), salt=0, rate=0.5):
    return keep_mask(_key(step, list(rows)), salt, rate, SHAPE).numpy()


def test_is_off_without_a_key_or_a_rate():
    """Evaluation gives no key; a rate of 0 changes nothing."""
    x = tf.ones([2, 3])
    assert KeyedDropout(0.5)(x, None) is not None
    np.testing.assert_array_equal(KeyedDropout(0.5)(x, None), x)
    np.testing.assert_array_equal(KeyedDropout(0.0)(x, _key(1, [0, 1])), x)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_mean(rate):
    """The share of zeros lies within 4 standard deviations; what stays is scaled."""
    y = KeyedDropout(rate)(tf.ones([8, 64, 96]), _key(3, list(range(8)))).numpy()
    assert abs((y == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / NUMBERS)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_a_mask_depends_on_the_row_and_not_on_its_batch():
    """Rows keep their masks in any order, in any batch: so do replicas and micro-batches."""
    whole = _mask(rows=range(8))
    np.testing.assert_array_equal(_mask(rows=[5, 2]), whole[[5, 2]])
    np.testing.assert_array_equal(_mask(rows=[7]), whole[7:])


@pytest.mark.parametrize(
    "change",
    [{"step": 1}, {"step": -1}, {"salt": 1}, {"rows": range(8, 16)}, {"rows": range(1, 9)}],
)
def test_masks_of_other_steps_layers_and_rows_are_independent(change):
    """Any change of an argument agrees with the first mask in half of the elements, as chance."""
    agreement = (_mask() == _mask(**change)).mean()
    assert abs(agreement - 0.5) < 4 * np.sqrt(0.25 / NUMBERS)


def test_elements_are_independent():
    """Neighbours at any small distance, across the four numbers of a hash too, are uncorrelated."""
    flat = _mask().reshape(8, -1).astype(float) * 2 - 1
    for distance in (1, 2, 3, 4, 5, 8, 96, 384):
        correlation = (flat[:, distance:] * flat[:, :-distance]).mean()
        assert abs(correlation) < 4 / np.sqrt(NUMBERS), distance


def test_rows_and_steps_spread_evenly():
    """One element over 20,000 rows, and over 2,000 steps, is dropped by its share."""
    shape = tf.TensorShape([4])
    rows = keep_mask(_key(5, list(range(20_000))), 1, 0.5, shape).numpy()
    steps = tf.stack([tf.range(2_000), tf.zeros([2_000], tf.int32)], axis=1)
    by_step = keep_mask(steps, 1, 0.5, shape).numpy()
    for kept in (rows, by_step):
        assert (abs(kept.mean(axis=0) - 0.5) < 4 * np.sqrt(0.25 / len(kept))).all()


def test_masks_stay_what_they_were():
    """A resumed run depends on the exact masks: a change of the hash must be deliberate."""
    kept = keep_mask(tf.constant([[7, 3]]), 11, 0.5, tf.TensorShape([16])).numpy().astype(int)
    assert "".join(map(str, kept[0])) == _splitmix_mask(7, 3, 11, 16)


def _splitmix_mask(step, row, salt, elements):
    """The same in Python's integers, from the class's description."""

    def mix(x):
        x ^= x >> 30
        x = x * 0xBF58476D1CE4E5B9 % 2**64
        x ^= x >> 27
        x = x * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    seed = mix(mix(step << 32 ^ salt) ^ row)
    bits = ""
    for word in range(-(-elements // 4)):
        hashed = mix((seed + word * 0x9E3779B97F4A7C15) % 2**64)
        bits += "".join(
            "1" if hashed >> shift & 0xFFFF >= 2**15 else "0" for shift in (0, 16, 32, 48)
        )
    return bits[:elements]


def test_impossible_rate_is_refused():
    """A rate of 1 would leave nothing."""
    with pytest.raises(ValueError, match=r"dropout rate in \[0, 1\), got 1"):
        KeyedDropout(1)
