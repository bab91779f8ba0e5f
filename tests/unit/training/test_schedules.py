"""Each schedule against its paper's formula in NumPy, and at its borders."""

import keras
import numpy as np
import pytest

from llm_keras import config
from llm_keras.config import presets
from llm_keras.training import schedules

T, W, PEAK = 20, 4, 0.5


def rates(steps=T, **schedule):
    """The rate of each of the first steps, by the schedule that the run file's section gives."""
    settings = config.Training(
        total_steps=T,
        global_batch_size=1,
        optimizer={"learning_rate": PEAK},
        schedule={"warmup_steps": W, "final_fraction": 0.1, **schedule},
    )
    built = schedules.build(settings)
    return np.array([float(built(step)) for step in range(steps)])


def test_every_schedule_rises_linearly_to_its_peak_at_the_last_step_of_the_warm_up():
    for kind in ("cosine", "linear", "noam", "warmup_stable_decay", "constant"):
        np.testing.assert_allclose(rates(W, kind=kind), [0.125, 0.25, 0.375, 0.5], rtol=1e-6)


def test_the_cosine_is_that_of_sgdr():
    """Loshchilov and Hutter 2017, equation 5: eta_min + (eta_max - eta_min)(1 + cos) / 2."""
    least, way = 0.1 * PEAK, np.arange(1, T - W + 1) / (T - W)
    expected = least + 0.5 * (PEAK - least) * (1 + np.cos(np.pi * way))
    np.testing.assert_allclose(rates(kind="cosine")[W:], expected, rtol=1e-6)


def test_the_linear_fall_is_a_straight_line_to_the_last_step():
    expected = np.interp(np.arange(W + 1, T + 1), [W, T], [PEAK, 0.1 * PEAK])
    np.testing.assert_allclose(rates(kind="linear")[W:], expected, rtol=1e-6)


def test_noam_is_that_of_vaswani():
    """Section 5.3: d**-0.5 min(s**-0.5, s w**-1.5), through the preset of the base model."""
    training = presets.PRESETS["transformer_base"]["training"]
    settings = config.Training(total_steps=100_000, global_batch_size=1, **training)
    schedule = schedules.build(settings)
    steps = np.array([1, 2, 100, 3999, 4000, 4001, 8000, 99_999, 100_000], "float64")
    expected = 512**-0.5 * np.minimum(steps**-0.5, steps * 4000**-1.5)
    found = [float(schedule(int(step) - 1)) for step in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_warm_up_stable_decay_is_flat_until_the_last_part():
    expected = [PEAK] * 11 + list(np.interp(np.arange(16, 21), [15, 20], [PEAK, 0.1 * PEAK]))
    found = rates(kind="warmup_stable_decay", decay_fraction=0.25)[W:]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("decay_fraction", [0.8, 1.0])
def test_a_decay_that_leaves_no_room_begins_after_the_warm_up(decay_fraction):
    found = rates(kind="warmup_stable_decay", decay_fraction=decay_fraction)
    np.testing.assert_allclose(found, rates(kind="linear"), rtol=1e-6)


def test_constant_stays():
    np.testing.assert_allclose(rates(T + 5, kind="constant")[W:], PEAK)


@pytest.mark.parametrize("kind", ["cosine", "linear", "warmup_stable_decay"])
def test_after_the_last_step_the_rate_stays(kind):
    np.testing.assert_allclose(rates(T + 3, kind=kind)[-4:], 0.1 * PEAK, rtol=1e-6)


@pytest.mark.parametrize("kind", ["cosine", "linear", "warmup_stable_decay", "constant"])
def test_the_borders_of_the_warm_up(kind):
    """No warm-up starts with the fall or the peak; all warm-up ends at the peak."""
    none, whole = rates(kind=kind, warmup_steps=0), rates(kind=kind, warmup_steps=T)
    assert 0.9 * PEAK < none[0] <= PEAK
    np.testing.assert_allclose(whole, PEAK * np.arange(1, T + 1) / T, rtol=1e-6)


def test_no_decay_at_all_is_constant():
    np.testing.assert_allclose(
        rates(kind="warmup_stable_decay", decay_fraction=0.0), rates(kind="constant")
    )


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.Warmup(0.5, 4),
        schedules.Noam(0.5, 4),
        schedules.WarmupLinear(0.5, 10, 4, 0.2),
        schedules.WarmupCosine(0.5, 10, 4, 0.2),
        schedules.WarmupStableDecay(0.5, 10, 4, 3, 0.2),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_schedule_survives_serialization(schedule):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
