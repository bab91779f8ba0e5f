"""What is written and shown of steps; the clock is real, the model a stand-in."""

import time
import types

import pytest
import tensorflow as tf

from llm_keras import config, console
from llm_keras.training import step_metrics
from llm_keras.training.curves import Curves
from llm_keras.training.profiling import Profile
from llm_keras.training.step_metrics import BY_THE_CLOCK, StepMetrics
from llm_keras.training.utilization import Utilization

LOGS = {"loss": 2.5, "tokens": 100.0, "learning_rate": 1e-3, "grad_norm": 0.5}


class Lines(list):
    def append(self, **fields):
        super().append(fields)


class Bar(list):
    def update(self, done, **fields):
        self.append({"step": done, **fields})


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    return said


def steps(callback, logs, waited=0.0, before=lambda: None):
    """Lets a callback see a step for each of `logs`."""
    model = types.SimpleNamespace(step=0, input_seconds=waited)
    callback.set_model(model)
    callback.on_train_begin()
    for number, each in enumerate(logs):
        callback.on_train_batch_begin(number)
        before()
        callback.on_train_batch_end(number, each)


def test_a_line_has_the_logs_and_what_the_step_took():
    lines, bar = Lines(), Bar()
    metrics = StepMetrics(lines, bar, None, Utilization(1e6, 1e9), total_steps=1000)
    steps(metrics, [LOGS] * 4, waited=0.001, before=lambda: time.sleep(0.01))
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert {name: lines[3][name] for name in LOGS} == LOGS
    took = lines[3]["seconds"]
    assert 0.01 <= took < 0.1
    assert lines[3]["tokens_per_second"] == pytest.approx(100 / took, rel=1e-3)
    assert lines[3]["model_flops_utilization"] == pytest.approx(1e6 / took / 1e9, rel=1e-3)
    assert lines[3]["input_seconds"] == 0.001
    assert 1e7 < lines[3]["process_bytes"] < 1e11
    assert lines[3]["remaining_seconds"] == pytest.approx(996 * took, rel=0.5)
    assert "remaining_seconds" not in lines[0]  # which traced
    assert set(lines[3]) - set(LOGS) - {"step"} <= set(BY_THE_CLOCK)
    assert "tokens_per_second" not in bar[0]
    assert 1000 < bar[3]["tokens_per_second"] < 10_000
    assert bar[3]["utilization"].endswith("%")
    assert bar[3]["memory"].endswith(" GB")
    assert "waiting" not in bar[3]


def test_overflows_and_skipped_steps_are_counted_apart():
    lines, bar = Lines(), Bar()
    overflow = {**LOGS, "loss_scale": 4.0, "overflowed": 1.0, "applied": 0.0}
    bad = {**LOGS, "loss_scale": 2.0, "overflowed": 0.0, "applied": 0.0}
    good = {**bad, "applied": 1.0}
    steps(StepMetrics(lines, bar), [overflow, overflow, bad, good])
    assert [line.get("overflowed") for line in lines] == [True, True, None, None]
    assert [line["loss_scale"] for line in lines] == [4.0, 4.0, 2.0, 2.0]
    assert (bar[3]["overflows"], bar[3]["skipped"]) == (2, 1)


def test_waiting_for_rows_is_warned_of_once(warnings, monkeypatch):
    monkeypatch.setattr(step_metrics, "WINDOW_STEPS", 5)
    bar = Bar()
    metrics = StepMetrics(Lines(), bar)
    steps(metrics, [LOGS] * 20, waited=0.002, before=lambda: time.sleep(0.004))
    assert len(warnings) == 1
    assert warnings[0].startswith("step 6: the last 5 steps waited for rows ")
    assert "faster disk" in warnings[0]
    assert "waiting" in bar[-1]
    steps(StepMetrics(Lines(), bar), [LOGS] * 20, 0.0, lambda: time.sleep(0.001))
    assert len(warnings) == 1


def test_curves_can_be_read_back(tmp_path):
    metrics = StepMetrics(Lines(), Bar(), None, Utilization(1e6, 1e9))
    curves = Curves(tmp_path, metrics, {2: 3.25}.get)
    steps(metrics, [LOGS])
    curves.set_model(metrics.model)
    curves.on_train_begin()
    for step in (1, 2):
        curves.on_step_end(step, LOGS)
    curves.on_train_end()
    (path,) = tmp_path.iterdir()
    points = {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            points.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert points["train/loss"] == [(1, 2.5), (2, 2.5)]
    assert points["validation/loss"] == [(2, 3.25)]
    assert {"speed/tokens_per_second", "speed/model_flops_utilization"} < set(points)
    assert "memory/process_bytes" in points


def test_the_steps_that_are_asked_for_are_traced(tmp_path, monkeypatch):
    said, traced = [], []
    monkeypatch.setattr(console, "say", said.append)
    monkeypatch.setattr(
        tf.profiler.experimental, "start", lambda folder: traced.append(("start", folder))
    )
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: traced.append("stop"))
    profile = Profile(tmp_path, 2, 3)
    seen = []
    steps(profile, [LOGS] * 5, before=lambda: seen.append(len(traced)))
    assert seen == [0, 1, 1, 2, 2]
    assert traced == [("start", str(tmp_path)), "stop"]
    assert said[0].startswith(f"profile: steps 2 to 3 are in {tmp_path}; look at them with")
    profile = Profile(tmp_path, 4, 9)
    steps(profile, [LOGS] * 5)
    profile.on_train_end()
    assert "steps 4 to 5" in said[1]


def test_steps_to_trace_must_be_steps_of_the_run():
    with pytest.raises(ValueError, match="profile_steps 3 to 2"):
        config.Training(total_steps=200, global_batch_size=8, profile_steps=(3, 2))
    with pytest.raises(ValueError, match="no steps of 1 to 200"):
        config.Training(total_steps=200, global_batch_size=8, profile_steps=(3, 201))


def test_xla_is_refused_where_it_cannot_be():
    with pytest.raises(ValueError, match="strategy dtensor, whose step crosses devices"):
        config.Training(
            total_steps=200,
            global_batch_size=8,
            jit_compile=True,
            parallelism={"strategy": "dtensor", "data": 2},
        )
