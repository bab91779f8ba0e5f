"""Masks: what is seen, made whole or block by block, and biases by distance."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers.masks import (
    MASKED,
    RowMask,
    additive,
    bias_of,
    causal_mask,
    filling_mask,
    in_reach,
    segment_mask,
)

T = 7
SEGMENTS = np.array([[1, 1, 1, 2, 2, 0, 0], [1, 1, 1, 1, 1, 1, 1]], "int32")
BIAS = np.random.default_rng(2).normal(size=[3, 2 * T - 1]).astype("float32")
MASKS = {
    f"causal {causal} window {window} segments {packed} bias {biased}": RowMask(
        T,
        causal,
        window,
        tf.constant(SEGMENTS) if packed else None,
        tf.constant(BIAS) if biased else None,
    )
    for causal, window, packed, biased in itertools.product(
        (True, False), (None, 1, 3, 20), (True, False), (True, False)
    )
}


def test_additive_is_zero_or_far_below_any_score():
    """Finite, so that a row that sees nothing gives no NaN."""
    np.testing.assert_array_equal(additive(tf.constant([True, False])), [0.0, MASKED])
    assert np.isfinite(tf.nn.softmax([MASKED, MASKED])).all()


@pytest.mark.parametrize(
    ("causal", "window", "expected"),
    [
        (True, None, ["1000", "1100", "1110", "1111"]),
        (True, 1, ["1000", "0100", "0010", "0001"]),
        (True, 2, ["1000", "1100", "0110", "0011"]),
        (False, None, ["1111"] * 4),
        (False, 2, ["1100", "1110", "0111", "0011"]),
    ],
)
def test_reach(causal, window, expected):
    """A window counts the query's own place, and goes to both sides without a causal mask."""
    places = tf.range(4)
    seen = in_reach(places, places, causal, window).numpy().astype(int)
    assert ["".join(map(str, row)) for row in seen] == expected


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_whole_is_the_rule_for_each_pair(mask):
    """Every pair of places by itself: order, window, document, bias."""
    whole = mask.whole().numpy()
    assert whole.shape == (
        1 if mask.segments is None else 2, 1 if mask.distance_bias is None else 3, T, T,
    )  # fmt: skip
    for row, head, query, key in np.ndindex(whole.shape):
        seen = not mask.causal or key <= query
        seen &= mask.window is None or abs(key - query) < mask.window
        seen &= mask.segments is None or SEGMENTS[row, query] == SEGMENTS[row, key]
        bias = 0 if mask.distance_bias is None else BIAS[head, key - query + T - 1]
        number = whole[row, head, query, key]
        assert number == pytest.approx(bias, abs=1e-6) if seen else number < MASKED / 2


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(("first", "end"), [(0, 2), (2, 5), (5, 7)])
def test_blocks_are_pieces_of_the_whole(mask, first, end):
    """And outside of the keys in a block's reach, none of its queries sees any."""
    whole, keys = mask.whole().numpy(), mask.keys_seen(first, end)
    block = mask.block(first, end, *keys)
    np.testing.assert_array_equal(block, whole[:, :, first:end, keys[0] : keys[1]])
    seen = (whole[:, :, first:end] > MASKED / 2).any(axis=(0, 1, 2))
    assert not seen[: keys[0]].any()
    assert not seen[keys[1] :].any()
    if mask.segments is None:
        assert seen[keys[0] : keys[1]].all()  # the reach is no longer than it must be


def test_row_mask_of_a_length_known_later():
    """A graph for rows of any length makes the same mask."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def function(segments):
        return RowMask(tf.shape(segments)[1], causal=True, window=3, segments=segments).whole()

    mask = RowMask(T, causal=True, window=3, segments=tf.constant(SEGMENTS))
    np.testing.assert_array_equal(function(SEGMENTS), mask.whole())


def test_bias_of_pairs_of_places_of_each_row():
    """Queries of rows that stand at different places, as in a cache."""
    queries, keys = np.array([[2, 3], [5, 6]]), np.array([[0, 1, 6]])
    bias = bias_of(tf.constant(BIAS), queries, keys).numpy()
    assert bias.shape == (3, 2, 2, 3)
    for head, row, query, key in np.ndindex(bias.shape):
        distance = keys[0, key] - queries[row, query]
        assert bias[head, row, query, key] == BIAS[head, distance + T - 1]


def test_named_masks():
    """A causal one, one of documents, one that hides filling."""
    np.testing.assert_array_equal(causal_mask(T)[0, 0] == 0, np.tri(T, dtype=bool))
    mask = segment_mask(SEGMENTS).numpy()[:, 0] == 0
    same = SEGMENTS[:, :, None] == SEGMENTS[:, None, :]
    np.testing.assert_array_equal(mask, same & np.tri(T, dtype=bool))
    assert mask.any(-1).all()  # filling sees itself
    np.testing.assert_array_equal(filling_mask(SEGMENTS)[:, 0, 0] == 0, SEGMENTS != 0)
