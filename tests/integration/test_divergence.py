"""Steps that diverge: skipped or rolled back as the run file says, and the same when repeated.

The fault is put into the compiled step: of some steps the loss and the gradient are multiplied.
"""

import json
import math
import signal

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.errors import DivergedError, InterruptedRunError
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, consumed, gradients, train
from llm_keras.training.divergence import Watch
from tests.made_up_run import STEPS, assert_same_run, settings, trace, write_corpus

NAN, SPIKE = math.nan, 100.0
BATCH = 8


@pytest.fixture
def spoil(monkeypatch):
    """Multiplies the loss and the gradient of steps."""
    original = gradients.Learner.accumulate

    def begin(factors):
        def accumulate(self, batch, micro_batches):
            sums = original(self, batch, micro_batches)
            step = batch["key"][0, 1] // BATCH + 1  # the first row's number in the whole training
            factor = tf.constant(1.0)
            for bad, by in factors.items():
                factor = tf.where(step == bad, by, factor)
            spoilt = [gradient * factor for gradient in sums.gradients]
            return sums._replace(loss=sums.loss * factor, gradients=spoilt)

        monkeypatch.setattr(gradients.Learner, "accumulate", accumulate)

    return begin


@pytest.fixture
def once_after(monkeypatch):
    """Does something once, when a step has ended."""

    def begin(last, action):
        def on_step_end(self, step, logs):
            original(self, step, logs)
            if step == last:
                monkeypatch.setattr(Watch, "on_step_end", original)
                action()

        original = Watch.on_step_end
        monkeypatch.setattr(Watch, "on_step_end", on_step_end)

    return begin


def end_as_by_a_kill():
    raise KeyboardInterrupt


def make(path):
    folder = RunFolder(path)
    write_corpus(folder)
    return folder


def policy(**fields):
    return settings(*(f"training.divergence.{name}={value}" for name, value in fields.items()))


def manifest_of(folder, step):
    path = checkpoint_files.folder_of(folder.checkpoints, step)
    return checkpoint_files.verify(path).manifest


def test_skipped_steps_are_named_and_a_killed_run_goes_on_bit_for_bit(
    tmp_path, spoil, once_after, capfd
):
    """Steps 10 and 18 are bad, the kill is between their checkpoints."""
    spoil({10: NAN, 18: SPIKE})
    run = policy(on_nan="skip", spike_factor=3, spike_window_steps=6)
    whole, killed = make(tmp_path / "whole"), make(tmp_path / "killed")
    train(run, whole)
    said = capfd.readouterr().err
    assert "step 10: the loss or its gradient is not a finite number; step 10 is skipped" in said
    assert "step 18: the loss" in said
    assert "is a spike, more than" in said
    lines = {line["step"]: line for line in trace(whole.metrics)}
    assert list(lines) == list(range(1, STEPS + 1))
    assert {step: line["skipped"] for step, line in lines.items() if "skipped" in line} == {
        10: "not finite",
        18: "spike",
    }
    assert lines[10]["loss"] is None
    assert lines[18]["loss"] > 3 * lines[17]["loss"]
    assert lines[19]["loss"] < 1.5 * lines[17]["loss"]
    rates = [lines[step]["learning_rate"] for step in (9, 10, 11)]
    assert rates == sorted(set(rates), reverse=True)  # a skipped step counts in the schedule
    assert manifest_of(whole, STEPS)["divergence"]["skipped"] == [[10, 10], [18, 18]]
    seen = consumed.steps_of_rows(manifest_of(whole, STEPS), range(40)).values()
    assert {step for steps in seen for step in steps} == {*range(1, STEPS + 1)} - {10, 18}

    once_after(20, end_as_by_a_kill)
    with pytest.raises(KeyboardInterrupt):
        train(run, killed)
    assert checkpoint_files.steps(killed.checkpoints) == [16, 8]
    train(run, killed)
    assert_same_run(killed, whole)
    assert manifest_of(killed, STEPS)["divergence"] == manifest_of(whole, STEPS)["divergence"]


def test_rolled_back_steps_are_gone_and_a_stopped_run_goes_on_bit_for_bit(
    tmp_path, spoil, once_after
):
    """Back from 21 to 16, also where somebody stopped the run in between, which saved a step."""
    spoil({21: NAN})
    run = settings("training.divergence.on_nan=roll_back", "training.keep_checkpoints=1")
    whole, stopped = make(tmp_path / "whole"), make(tmp_path / "stopped")
    train(run, whole)
    lines = {line["step"]: line for line in trace(whole.metrics)}
    assert lines[21]["rolled_back_to"] == 16
    assert lines[21]["skipped"] == "not finite"
    assert manifest_of(whole, STEPS)["divergence"]["skipped"] == [[17, 21]]
    seen = consumed.steps_of_rows(manifest_of(whole, STEPS), range(40)).values()
    assert {step for steps in seen for step in steps} == {*range(1, 17), *range(22, STEPS + 1)}

    once_after(18, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match="SIGTERM at step"):
        train(run, stopped)
    newest, regular = checkpoint_files.steps(stopped.checkpoints)
    assert 18 <= newest < 21
    assert regular == 16
    train(run, stopped)
    assert_same_run(stopped, whole)


def test_too_many_in_a_row_stop_the_run(tmp_path, spoil):
    spoil(dict.fromkeys((6, 11, 12, 13), NAN))
    folder = make(tmp_path / "run")
    with pytest.raises(DivergedError, match=r"step 13: .* number 3 in a row") as error:
        train(policy(on_nan="skip", max_in_a_row=3), folder)
    assert "The newest checkpoint is of step 8" in str(error.value)
    assert [line["step"] for line in trace(folder.metrics)] == list(range(1, 13))
    for array in checkpoint_files.newest(folder.checkpoints)[0].tensors("network").values():
        assert np.isfinite(array).all()
    assert json.loads(folder.metrics.read_text().splitlines()[5])["skipped"] == "not finite"
