"""Training in float16: gradients that vanish or overflow without a scale that follows them."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import DivergedError
from llm_keras.training import checkpoint_files, checkpoints, loss_scale
from llm_keras.training.divergence import Watch
from llm_keras.training.loss_scale import LossScale

TRUE, FALSE = tf.constant(True), tf.constant(False)


@pytest.fixture(scope="module")
def half(small):
    """A trainer in float16, and its first state."""
    trainer = small.make_trainer(small.make_network("mixed_float16"), skips_bad_steps=True)
    return trainer, small.state(trainer)


def reset(small, half, scale=loss_scale.FIRST):
    trainer, first = half
    for variable, value in zip(small.variables(trainer), first, strict=True):
        variable.assign(value)
    trainer.loss_scale.variables[0].assign(scale)
    trainer.loss_scale.variables[1].assign(0)
    return trainer


def test_it_halves_on_an_overflow_and_doubles_after_good_steps(monkeypatch):
    monkeypatch.setattr(loss_scale, "STEPS_TO_DOUBLE", 3)
    scale, values = LossScale(), []
    for overflowed, good in [(TRUE, FALSE), *[(FALSE, TRUE)] * 2, (FALSE, FALSE), (FALSE, TRUE)]:
        scale.update(overflowed, good)
        values.append(float(scale.value()))
    assert values == [2**14, 2**14, 2**14, 2**14, 2**15]
    scale.update(FALSE, TRUE)
    scale.update(TRUE, FALSE)  # the count begins anew
    for _ in range(2):
        scale.update(FALSE, TRUE)
    assert float(scale.value()) == 2**14
    scale.variables[0].assign(loss_scale.MOST)
    for _ in range(3):
        scale.update(FALSE, TRUE)
    assert float(scale.value()) == loss_scale.MOST


def test_only_a_gradient_of_a_finite_loss_overflows():
    scale = LossScale()
    assert scale.overflowed(1.0, np.inf)
    assert scale.overflowed(1.0, np.nan)
    assert not scale.overflowed(1.0, 1.0)
    assert not scale.overflowed(np.nan, np.nan)
    scale.variables[0].assign(loss_scale.LEAST)
    assert not scale.overflowed(1.0, np.inf)


def test_the_factor_of_a_token_is_a_power_of_two_that_float16_holds():
    scale = LossScale()
    assert [float(scale.factor(tokens)) for tokens in (1, 2, 3, 4096, 4097, None)] == [
        2**15,
        2**14,
        2**13,
        2**3,
        2**2,
        2**15,
    ]
    scale.variables[0].assign(2.0**24)
    assert float(scale.factor(4)) == 2**15


def test_small_gradients_survive_by_it_alone(small, half):
    """Against float32, which has the same masks; far too small a scale loses a part of them."""
    exact = small.fit(small.make_trainer(skips_bad_steps=True), small.make_batches(1))
    errors = {}
    for scale in (loss_scale.FIRST, 2.0**-14):
        found = small.fit(reset(small, half, scale), small.make_batches(1))
        assert found["loss"] == [pytest.approx(exact["loss"][0], rel=1e-3)]
        assert found["loss_scale"] == [scale]
        errors[scale] = abs(found["grad_norm"][0] / exact["grad_norm"][0] - 1)
    assert errors[loss_scale.FIRST] < 1e-3  # the norm is that of unscaled gradients
    assert errors[2.0**-14] > 0.05


def test_a_step_that_overflows_is_skipped_and_counted(small, monkeypatch):
    monkeypatch.setattr(loss_scale, "LARGEST_FACTOR", loss_scale.MOST)
    trainer = small.make_trainer(
        small.make_network("mixed_float16"), gradient_accumulation_steps=2, ema_decay=0.5
    )
    before = small.state(trainer)
    trainer.loss_scale.variables[0].assign(loss_scale.MOST)
    values = small.fit(trainer, small.make_batches(1))
    assert (values["overflowed"], values["applied"]) == ([1.0], [0.0])
    assert np.isfinite(values["loss"])
    assert not np.isfinite(values["grad_norm"])
    assert trainer.step == 1
    trainer.optimizer.iterations.assign(0)
    for variable, old, new in zip(
        small.variables(trainer), before, small.state(trainer), strict=True
    ):
        np.testing.assert_array_equal(new, old, err_msg=variable.path)
    values = small.fit(trainer, small.make_batches(1).repeat(12))
    scales = [2.0**24 / 2 ** (step + 1) for step in range(12)]
    skipped = int(sum(values["overflowed"]))
    assert 1 <= skipped < 8
    assert values["loss_scale"][: skipped + 1] == scales[: skipped + 1]
    assert values["loss"][-1] < values["loss"][0] - 0.05


def test_a_loss_that_is_not_finite_is_no_overflow(small):
    trainer = small.make_trainer(small.make_network("mixed_float16"))
    trainer.network.embedding.embeddings.assign(trainer.network.embedding.embeddings * np.nan)
    with pytest.raises(DivergedError, match="not a finite number"):
        small.fit(trainer, small.make_batches(1))
    assert float(trainer.loss_scale.value()) == loss_scale.FIRST


def test_no_policy_is_asked_about_an_overflow(tmp_path):
    settings = config.Training(total_steps=1, global_batch_size=1, schedule={"warmup_steps": 1})
    watch = Watch(settings, tmp_path, writer=None)
    watch.on_step_end(1, {"loss": 1.0, "grad_norm": np.inf, "applied": 0.0, "overflowed": 1.0})
    assert watch.history.to_json()["skipped"] == []
    with pytest.raises(DivergedError):
        watch.on_step_end(1, {"loss": 1.0, "grad_norm": np.inf, "applied": 0.0, "overflowed": 0.0})


def test_it_is_in_the_checkpoint(small, half, tmp_path):
    trainer = reset(small, half, 2.0**17)
    trainer.loss_scale.variables[1].assign(7)
    checkpoints.save(tmp_path, trainer, {})
    reset(small, half)
    checkpoints.restore(checkpoint_files.newest(tmp_path)[0], trainer)
    assert [float(variable.value) for variable in trainer.loss_scale.variables] == [2.0**17, 7.0]
