"""The schedule, the decay mask and the update against NumPy."""

import math

import keras
import numpy as np
import pytest

from llm_keras import config
from llm_keras.training import optimizers
from llm_keras.training.schedules import WarmupCosine


def settings(**changes):
    return config.Training(
        total_steps=10, global_batch_size=2, schedule={"warmup_steps": 4}, **changes
    )


def variable(shape, dimensions=(), name="kernel"):
    made = keras.Variable(np.full(shape, 2.0, "float32"), name=name)
    made.dimensions = dimensions
    return made


def test_the_schedule_rises_to_the_peak_and_falls_along_a_cosine():
    schedule = WarmupCosine(0.5, total_steps=10, warmup_steps=4, final_fraction=0.1)
    rates = [float(schedule(step)) for step in range(12)]
    falling = [0.5 * (0.1 + 0.9 * (1 + math.cos(math.pi * k / 6)) / 2) for k in range(1, 7)]
    expected = [0.125, 0.25, 0.375, 0.5, *falling, 0.05, 0.05]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


@pytest.mark.parametrize(("warmup_steps", "first"), [(0, 0.5), (10, 0.05)])
def test_the_schedule_at_its_extremes(warmup_steps, first):
    """No warm-up starts just below the peak; all warm-up ends at it."""
    schedule = WarmupCosine(0.5, total_steps=10, warmup_steps=warmup_steps, final_fraction=1.0)
    assert float(schedule(0)) == pytest.approx(first)
    assert float(schedule(9)) == pytest.approx(0.5)


def test_the_schedule_survives_serialization():
    schedule = WarmupCosine(0.5, 10, 4, 0.2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(again, WarmupCosine)
    assert again.get_config() == schedule.get_config()


def test_the_optimizer_survives_serialization():
    optimizer = optimizers.build(settings(), [variable([2, 2])])
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.global_clipnorm == 1.0


def test_matrices_decay_and_nothing_else():
    kernel = variable([2, 3], ("hidden", "feed_forward"))
    embeddings = variable([5, 3], ("vocabulary", "hidden"))
    gain, bias = variable([3], ("hidden",)), variable([3], ("feed_forward",), "bias")
    positions = variable([5, 3], ("positions", "hidden"))
    assert [optimizers.decays(v) for v in (kernel, embeddings, gain, bias, positions)] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_an_update_is_that_of_the_paper():
    """Two steps of AdamW in NumPy, with decay on the matrix alone and a clip by the global norm."""
    chosen = settings(optimizer={"learning_rate": 0.1, "weight_decay": 0.5, "clip_norm": 1.0})
    matrix, gain = variable([2, 2]), variable([2], name="gain")
    optimizer = optimizers.build(chosen, [matrix, gain])
    weights = [np.full((2, 2), 2.0), np.full(2, 2.0)]
    m, v = [0.0, 0.0], [0.0, 0.0]
    random = np.random.default_rng(1)
    for step in (1, 2):
        gradients = [random.normal(size=(2, 2)) * 3, random.normal(size=2) * 3]
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradients])
        norm = math.sqrt(sum((g**2).sum() for g in gradients))
        assert norm > 1.0
        rate = 0.1 * step / 4
        for i, decay in enumerate((0.5, 0.0)):
            g = gradients[i] / norm
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.95 * v[i] + 0.05 * g**2
            # Keras adds epsilon to the uncorrected root ("epsilon hat"); 1e-8 hides that.
            direction = (m[i] / (1 - 0.9**step)) / (np.sqrt(v[i] / (1 - 0.95**step)) + 1e-8)
            weights[i] = weights[i] * (1 - rate * decay) - rate * direction
    np.testing.assert_allclose(matrix.numpy(), weights[0], rtol=1e-5)
    np.testing.assert_allclose(gain.numpy(), weights[1], rtol=1e-5)
