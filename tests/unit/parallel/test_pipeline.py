"""Stages on several devices learn what one device learns, in the order that the schedule says."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from llm_keras import config
from llm_keras.parallel import schedules
from llm_keras.parallel.schedules import Task

WAYS = [
    ("tied", "4 stages x 8 gpipe, then one device"),
    ("tied", "one device, then 2 stages x 4 1f1b"),
    ("tied", "2 stages x 2 data x 2"),
    ("tied", "layers on 2 devices, 2 micro-batches"),
    ("encoder-decoder", "4 stages x 2 1f1b"),
    ("experts", "2 stages x 2 gpipe"),
    ("low rank", "2 stages x 1"),
]


@pytest.fixture(scope="module")
def results():
    """What `pipelines.py` prints."""
    child = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "pipelines.py")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return json.loads(child.stdout)


@pytest.mark.parametrize(("model", "way"), WAYS)
def test_it_equals_one_device(results, model, way):
    """Dropout, clipping, uneven numbers of tokens; through checkpoints between the two."""
    one, other = results[model]["one"], results[model][way]
    assert one["step"] == other["step"] == 4
    assert one["logs"].keys() == other["logs"].keys()
    for name in one["logs"]:
        np.testing.assert_allclose(
            other["logs"][name], one["logs"][name], rtol=1e-4, atol=1e-7, err_msg=name
        )
    np.testing.assert_allclose(other["logs"]["loss"], one["logs"]["loss"], rtol=1e-5)
    assert min(one["logs"]["grad_norm"]) > 0.1  # the norm that is clipped
    difference = np.subtract(other["state"], one["state"])
    assert np.linalg.norm(difference) <= 1e-4 * np.linalg.norm(one["state"])


@pytest.mark.parametrize(("model", "way"), WAYS[2:5])
def test_it_judges_and_predicts_as_one_device(results, model, way):
    """With means of the weights where there are any."""
    one, other = results[model]["one"], results[model][way]
    assert other["validation"]["tokens"] == one["validation"]["tokens"]
    assert other["validation"]["loss"] == pytest.approx(one["validation"]["loss"], rel=1e-5)
    np.testing.assert_allclose(other["predicted"], one["predicted"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("model", "way"), [WAYS[1], WAYS[4]])
def test_each_device_holds_what_was_planned(results, model, way):
    """Weights, slots and means, read from the live variables."""
    found = results[model][way]
    weights, slots, averages = found["held"]
    plan = found["planned"]
    assert [weights[f"CPU:{i}"] for i in range(len(plan))] == plan
    assert set(slots) == set(weights)
    if model == "encoder-decoder":  # Lion has one slot
        assert averages == slots == weights
    else:
        assert {name: 2 * size for name, size in weights.items()} == slots
        assert max(weights.values()) < 0.7 * sum(weights.values())
    assert any(line.startswith("CPU:1 holds") for line in found["report"])


def test_nothing_large_is_left_to_the_first_device(results):
    """Updates, gradients and activations have a device each."""
    assert results["step"]["unplaced"] == []


def test_stages_are_called_without_state(results):
    """TensorFlow would let calls with state wait for each other, whatever the schedule."""
    calls = results["step"]["calls"]
    assert len(calls) >= 2 * (2 + 2 + 2)  # replicas, and tasks of both stages
    assert set(calls) == {"PartitionedCall"}


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_stages_work_in_order_and_at_once(results, schedule):
    spans = {Task(kind, s, m): (a, b) for kind, s, m, a, b in results["spans"][schedule]}
    orders = schedules.ORDERS[schedule](3, 4)
    assert set(spans) == {task for order in orders for task in order}
    for order in orders:
        times = [spans[task] for task in order]
        assert times == sorted(times)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))
    for task, (start, _) in spans.items():
        assert all(spans[before][1] <= start for before in task.needs(3))
    last = max(end for _, end in spans.values()) - min(start for start, _ in spans.values())
    assert last < 0.8 * sum(end - start for start, end in spans.values())  # in turn: 1


def test_what_cannot_be_is_said(results):
    too_many, uneven = results["refusals"]
    assert "stage is 4, but the model has 3 parts (embedding to head)" in too_many
    assert "8 rows cannot be cut into 1 data x 3 gradient_accumulation_steps" in uneven


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage": 2}, "set strategy to pipeline or layers"),
        ({"strategy": "layers", "data": 2, "stage": 2}, "set strategy to pipeline, or data to 1"),
        ({"strategy": "pipeline", "model": 2, "stage": 2}, "set strategy to dtensor"),
        ({"strategy": "dtensor", "model": 2, "stage": 2}, "strategy to pipeline and model to 1"),
    ],
)
def test_degrees_that_a_strategy_does_not_take(settings, message):
    with pytest.raises(ValidationError, match=message):
        config.Parallelism(**settings)
