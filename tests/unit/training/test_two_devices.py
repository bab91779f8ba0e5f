"""Training on two devices learns what training on one learns."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def results(in_child):
    return in_child("two_devices.py")


@pytest.mark.parametrize(
    "way", ["two", "two, 4 micro-batches, recomputed", "two, compiled", "two, then one"]
)
def test_it_equals_one_device(results, way):
    """20 steps with dropout, clipping and uneven numbers of tokens on the two devices."""
    one, other = results["one"], results[way]
    assert len(one["loss"]) == len(other["loss"]) == one["step"] == other["step"] == 20
    assert one["loss"][-1] < one["loss"][0]
    assert min(one["grad_norm"]) > 0.1  # the norm that is clipped
    np.testing.assert_allclose(other["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(other["grad_norm"], one["grad_norm"], rtol=1e-4)
    np.testing.assert_allclose(other["val_loss"][-1], one["val_loss"][-1], rtol=1e-5)
    assert other["val_tokens"] == one["val_tokens"]
    difference = np.subtract(other["weights"], one["weights"])
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(one["weights"])


@pytest.mark.parametrize("way", ["masked_lm", "encoder_decoder", "experts"])
def test_other_kinds_and_optimizers_equal_one_device(results, way):
    """4 steps with each log, the validation, the slots and the averages."""
    one, two = results["ways"][way]
    assert one["logs"].keys() == two["logs"].keys()
    assert ("dropped_fraction" in one["logs"]) == (way == "experts")
    for name in one["logs"]:
        np.testing.assert_allclose(two["logs"][name], one["logs"][name], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(two["logs"]["loss"], one["logs"]["loss"], rtol=1e-5)
    assert two["judged"]["tokens"] == one["judged"]["tokens"]
    assert two["judged"]["loss"] == pytest.approx(one["judged"]["loss"], rel=1e-5)
    difference = np.subtract(two["state"], one["state"])
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(one["state"])


def test_float16_overflows_on_all_devices_or_none(results):
    """Nothing changes until the scale has come down, and then the same on both."""
    logs, difference = results["float16"]
    skipped = int(sum(logs["overflowed"]))
    assert 1 <= skipped < 10
    assert logs["overflowed"] == [1.0] * skipped + [0.0] * (12 - skipped)
    assert logs["loss_scale"] == [2.0 ** (22 - min(step, skipped)) for step in range(12)]
    assert len(set(logs["loss"][: skipped + 1])) == 1
    assert logs["loss"][-1] < logs["loss"][0]
    assert difference == 0


def test_a_skipped_step_changes_nothing_but_the_count_on_both(results):
    skipped = results["skipped"]
    assert skipped["applied"] == [1.0, 0.0, 1.0]
    assert skipped["changed"][0] == 1
    assert skipped["changed"][1] > 10
    assert skipped["count"] == 3


def test_more_devices_than_there_are_is_an_error_with_both_numbers(results):
    assert "4 devices are asked for, but 2 are visible" in results["too many"]
    assert "lower a factor" in results["too many"]
