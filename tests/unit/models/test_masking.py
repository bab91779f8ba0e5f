"""Which tokens are masked, and with what: rules, shares, and independence of batch and order."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config
from llm_keras.models.masking import Masking

V, MASK, SPECIAL = 50, 4, (0, 1, 2, 3)
B, T = 400, 40


def masking(**changes):
    return Masking(config.Masking(**changes), V, MASK, SPECIAL)


def keys(rows, update=5):
    return tf.constant([[update, row] for row in rows], tf.int32)


@pytest.fixture(scope="module")
def batch():
    """Rows that begin with bos and end with eos and filling, of many lengths."""
    random = np.random.default_rng(0)
    tokens = random.integers(5, V, (B, T)).astype("int32")
    segments = np.ones_like(tokens)
    tokens[:, 0] = 2
    for row in range(B):
        end = 2 + row % (T - 2)
        tokens[row, end] = 3
        segments[row, end + 1 :] = 0
    return tokens, segments


def chosen(masked):
    """Bool [B, T]: the places that count."""
    marks = np.zeros((len(masked.places), T), int)
    for row, (places, weights) in enumerate(zip(masked.places, masked.weights, strict=True)):
        np.add.at(marks[row], places.numpy()[weights.numpy() > 0], 1)
    assert marks.max() == 1
    return marks.astype(bool)


def test_a_share_of_each_rows_text_is_chosen_and_nothing_else(batch):
    tokens, segments = batch
    masked = masking()(tokens, segments, keys(range(B)))
    text = (segments != 0) & (tokens > MASK)
    marks = chosen(masked)
    assert not (marks & ~text).any()
    n = text.sum(1)
    np.testing.assert_array_equal(marks.sum(1), np.maximum(np.minimum(n, 1), (0.15 * n + 0.5) // 1))
    np.testing.assert_array_equal(masked.tokens.numpy()[~marks], tokens[~marks])


def test_of_the_chosen_80_percent_are_masked_10_random_10_as_they_are():
    tokens = np.full((4000, T), 7, "int32")
    masked = masking()(tokens, None, keys(range(4000)))
    seen = masked.tokens.numpy()[chosen(masked)]
    assert len(seen) == 4000 * 6
    # Three standard deviations of a share of 24,000; one random token in 45 is the token itself.
    assert (seen == MASK).mean() == pytest.approx(0.8, abs=0.008)
    assert (seen == 7).mean() == pytest.approx(0.1 + 0.1 / 45, abs=0.006)
    random = seen[(seen != MASK) & (seen != 7)]
    assert sorted(set(random)) == [token for token in range(5, V) if token != 7]
    assert np.bincount(random).max() < 2 * len(random) / 44


def test_every_position_is_chosen_equally_often():
    tokens = np.full((4000, T), 7, "int32")
    share = chosen(masking()(tokens, None, keys(range(4000)))).mean(0)
    np.testing.assert_allclose(share, 0.15, atol=0.02)  # three deviations


def test_masks_depend_on_update_and_row_alone(batch):
    """Not on where the row stands, its batch mates, or the number of rows."""
    tokens, segments = batch
    whole = masking()(tokens, segments, keys(range(B)))
    part = masking()(tokens[7:3:-1], segments[7:3:-1], keys(range(7, 3, -1)))
    for found, expected in zip(part, whole, strict=True):
        np.testing.assert_array_equal(found, expected.numpy()[7:3:-1])
    other = masking()(tokens, segments, keys(range(B), update=6))
    assert (chosen(other) != chosen(whole)).sum() > 1000


def test_masks_in_a_graph_are_the_same(batch):
    tokens, segments = map(tf.constant, batch)
    hide = masking()
    in_graph = tf.function(hide, autograph=False)(tokens, segments, keys(range(B)))
    for found, expected in zip(in_graph, hide(tokens, segments, keys(range(B))), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_shares_are_those_of_the_run_file():
    tokens = np.full((2000, T), 7, "int32")
    hide = masking(fraction=0.5, masked=0.0, random=1.0)
    masked = hide(tokens, None, keys(range(2000)))
    seen = masked.tokens.numpy()[chosen(masked)]
    assert len(seen) == 2000 * 20
    assert MASK not in seen
    assert (seen == 7).mean() == pytest.approx(1 / 45, abs=0.005)
