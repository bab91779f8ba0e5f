"""What a run remembers of its losses, and what a step that is skipped changes: its count alone."""

import math

import keras
import numpy as np
import pytest

from llm_keras import config
from llm_keras.training.divergence import History

WAYS = {
    "adamw and average": {"ema_decay": 0.9},
    "adafactor": {"optimizer": {"kind": "adafactor"}},
    "lion": {"optimizer": {"kind": "lion"}},
    "muon": {"optimizer": {"kind": "muon"}},
}


def history(**fields):
    return History(config.Divergence(**fields))


def test_a_spike_is_told_by_the_median_once_the_window_is_full():
    seen = history(spike_factor=2.0, spike_window_steps=4)
    for loss in (9.0, 1.0, 2.0):
        seen.losses.append(loss)
        assert seen.limit == math.inf
    seen.losses.append(4.0)
    assert seen.limit == 2.0 * 3.0
    seen.losses.append(1.0)
    assert seen.limit == 2.0 * 1.5
    assert history().limit == math.inf


def test_stretches_that_meet_are_one():
    seen = history()
    for first, last in [(3, 3), (4, 4), (9, 9), (12, 14), (8, 16), (20, 20), (17, 21)]:
        seen.skip(first, last)
    assert seen.skipped == [(3, 4), (8, 21)]
    seen.skip(10, 30)
    assert seen.skipped == [(3, 4), (8, 30)]


def test_a_checkpoint_gives_all_of_it_back():
    seen = history(spike_factor=2.0, spike_window_steps=3)
    seen.losses.extend([1.25, 3.5, 0.100000001])
    seen.in_a_row = 2
    seen.skip(5, 6)
    again = history(spike_factor=2.0, spike_window_steps=3)
    again.take(seen.to_json())
    assert again.to_json() == seen.to_json()
    assert again.limit == seen.limit == 2.5
    assert history().to_json()["losses"] == []  # where nothing is a spike


@pytest.mark.parametrize("way", WAYS)
def test_a_skipped_step_changes_nothing_but_the_count(small, way):
    """One step that is applied, one whose loss is over the limit, and one that is applied."""
    trainer = small.make_trainer(skips_bad_steps=True, **WAYS[way])
    data, limits = small.make_batches(3), [math.inf, 0.5, math.inf]

    def set_limit(batch, logs=None):
        trainer.loss_limit.assign(np.float32(limits[batch]))

    states, log = [], small.Log()
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_begin=set_limit,
        on_train_batch_end=lambda batch, logs: states.append(small.state(trainer)),
    )
    trainer.fit(data, callbacks=[log, keep], shuffle=False, verbose=0)
    assert log.values["applied"] == [1.0, 0.0, 1.0]
    counted = [v.path for v in small.variables(trainer)].index(trainer.optimizer.iterations.path)
    assert [int(state[counted]) for state in states] == [1, 2, 3]
    for place, (before, after) in enumerate(zip(states[0], states[1], strict=True)):
        if place != counted:
            np.testing.assert_array_equal(before, after)
    assert any((a != b).any() for a, b in zip(states[1], states[2], strict=True))


def test_without_a_bad_step_the_trace_is_the_same(small):
    guarded = small.fit(small.make_trainer(skips_bad_steps=True), small.make_batches(4))
    plain = small.fit(small.make_trainer(), small.make_batches(4))
    assert guarded.pop("applied") == [1.0] * 4
    assert guarded == plain
