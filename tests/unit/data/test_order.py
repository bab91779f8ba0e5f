"""The order of rows: a permutation in each epoch, another in each, the same work at any index."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_keras.data import order

sizes = st.one_of(st.integers(1, 300), st.integers(1, 20_000))
seeds = st.integers(0, 2**63)


@settings(max_examples=200)
@given(sizes, seeds, st.integers(0, 10**6))
@example(1, 0, 0)
@example(2, 0, 0)
@example(10_000, 2**63, 10**6)
def test_every_epoch_has_every_row_once(num_rows, seed, epoch):
    samples = np.arange(num_rows) + epoch * num_rows
    rows = order.row_at(samples, num_rows, seed)
    np.testing.assert_array_equal(np.sort(rows), np.arange(num_rows))


@given(st.integers(50, 20_000), seeds, st.integers(0, 1000))
def test_epochs_and_seeds_have_orders_of_their_own(num_rows, seed, epoch):
    samples = np.arange(num_rows)
    this = order.row_at(samples + epoch * num_rows, num_rows, seed)
    following = order.row_at(samples + (epoch + 1) * num_rows, num_rows, seed)
    other = order.row_at(samples + epoch * num_rows, num_rows, seed + 1)
    for another in (following, other, samples):
        assert np.count_nonzero(this == another) < num_rows / 4


@given(sizes, seeds, st.lists(st.integers(0, 2**62), min_size=1, max_size=50))
def test_one_sample_is_the_same_alone_and_in_any_company(num_rows, seed, samples):
    together = order.row_at(np.array(samples), num_rows, seed)
    alone = [int(order.row_at(sample, num_rows, seed)) for sample in samples]
    assert together.tolist() == alone
    assert (
        together.reshape(-1, 1).shape
        == order.row_at(np.array(samples)[:, None], num_rows, seed).shape
    )


def test_the_order_is_pinned():
    """A changed order would make a resumed run read other rows than it would have."""
    assert order.row_at(np.arange(12), 10, seed=1).tolist() == [5, 4, 8, 2, 6, 0, 1, 9, 7, 3, 3, 6]
    assert order.row_at(10**15, 10**9, seed=7) == 776177981


def test_places_and_rows_are_not_related():
    """Chi-square over 200 epochs of 20 rows: 361 degrees of freedom, 5 standard deviations."""
    epochs, num_rows = 200, 20
    rows = order.row_at(np.arange(epochs * num_rows), num_rows, seed=3).reshape(epochs, num_rows)
    counts = np.zeros((num_rows, num_rows))
    for place in range(num_rows):
        counts[place] = np.bincount(rows[:, place], minlength=num_rows)
    expected = epochs / num_rows
    statistic = ((counts - expected) ** 2 / expected).sum()
    degrees = (num_rows - 1) ** 2
    assert abs(statistic - degrees) < 5 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("start", [0, 10**7, 10**15])
def test_a_seek_does_the_same_work_at_any_step(start, monkeypatch):
    """Counted in passes of the network, which is all that could depend on the index."""
    passes = []
    network = order._feistel

    def count(*arguments):
        passes.append(len(arguments[0]))
        return network(*arguments)

    monkeypatch.setattr(order, "_feistel", count)
    order.row_at(start + np.arange(512), num_rows=1_000_003, seed=0)
    assert sum(passes) <= 2 * 512
