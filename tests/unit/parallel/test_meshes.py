"""Training on a mesh of four devices learns what training on one learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MESHES = ["2x1 slots", "1x4 none", "4x1 all", "2x2 all"]
WAYS = [
    "masked_lm",
    "encoder_decoder",
    "experts",
    "grouped heads, accumulation",
    "recomputed",
    "lora",
]
SCRIPT = Path(__file__).with_name("meshes.py")


@pytest.fixture(scope="module")
def results():
    child = subprocess.run(
        [sys.executable, str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return json.loads(child.stdout)


def assert_equal(one, other):
    assert one["logs"].keys() == other["logs"].keys()
    for name in one["logs"]:
        found, expected = other["logs"][name], one["logs"][name]
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(other["logs"]["loss"], one["logs"]["loss"], rtol=1e-5)
    np.testing.assert_allclose(other["judged"][0], one["judged"][0], rtol=1e-5)
    assert other["judged"][1] == one["judged"][1]
    difference = np.subtract(other["state"], one["state"])
    assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(one["state"])


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_equals_one_device(results, mesh):
    """10 steps of a whole model with dropout, clipping and uneven rows: the loss of every step,
    validation, weights and slots. A step that read what it had written would differ at step 2."""
    one = results["one"]
    assert one["logs"]["loss"][-1] != one["logs"]["loss"][0]
    assert min(one["logs"]["grad_norm"]) > 0.1  # the norm that is clipped
    assert_equal(one, results["meshes"][mesh])


@pytest.mark.parametrize("way", WAYS)
def test_other_kinds_and_optimizers_equal_one_device(results, way):
    one, mesh = results["ways"][way]
    assert_equal(one, mesh)


@pytest.mark.parametrize("mesh", MESHES)
def test_each_device_holds_what_was_predicted(results, mesh):
    """Read from the live variables after training."""
    found = results["placed"][mesh]
    held, predicted = found["weight_bytes"]
    assert set(held.values()) == {predicted}
    assert len(held) == int(np.prod([int(size) for size in mesh.split()[0].split("x")]))
    slots, predicted_slots = found["slot_bytes"]
    assert set(slots.values()) == {predicted_slots}


def test_weights_and_slots_lie_in_pieces(results):
    def layout(mesh, which, end):
        (found,) = (v for path, v in results["placed"][mesh][which].items() if path.endswith(end))
        return found

    up, slot = "feed_forward/up/kernel", "feed_forward_up_kernel_momentum"
    assert layout("1x4 none", "layouts", up) == [None, "model"]
    assert layout("1x4 none", "slots", slot) == [None, "model"]
    assert layout("2x2 all", "layouts", up) == ["data", "model"]
    assert layout("2x2 all", "slots", slot) == ["data", "model"]
    assert layout("2x1 slots", "layouts", up) == [None, None]
    assert layout("2x1 slots", "slots", slot) == [None, "data"]
    assert layout("1x4 none", "layouts", "/embeddings") == ["model", None]
    whole = results["placed"]["4x1 all"]["whole_bytes"]
    assert results["placed"]["4x1 all"]["weight_bytes"][1] == whole / 4


@pytest.mark.parametrize("mesh", ["one", "1x4 none"])
def test_a_checkpoint_of_one_mesh_goes_on_elsewhere(results, mesh):
    found = results["elastic"]
    assert len(set(found["2x2 all"])) == 2
    np.testing.assert_allclose(found[mesh], found["2x2 all"], rtol=1e-5)


def test_a_loss_that_is_not_finite_is_told_and_changes_nothing(results):
    told, unchanged = results["diverged"]
    assert "not a finite number; the update was not applied" in told
    assert unchanged


def test_callbacks_may_take_and_set_whole_weights(results):
    assert results["doubled"]
    assert all(results["doubled"])


def test_heads_that_do_not_divide_are_named(results):
    assert "query_heads 2 cannot be cut into training.parallelism.model 4" in results["refused"]
