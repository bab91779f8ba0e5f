"""A mesh whose devices belong to two processes trains what one device trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("mesh_of_workers.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each process found, and one device alone."""
    folder = tmp_path_factory.mktemp("mesh")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    for arguments in ([folder], ["one", folder / "one"]):
        subprocess.run(
            [sys.executable, PROGRAM, *arguments], check=True, env=environment, timeout=240
        )
    return [json.loads((folder / name).read_text()) for name in ("mesh-0", "mesh-1", "one-0")]


def test_each_process_has_its_part_of_the_rows(results):
    assert [result["who"] for result in results] == [[0, 2, True], [1, 2, False], [0, 1, True]]
    assert results[0]["sum"] == results[1]["sum"] == 5 + 6


def test_processes_are_equal_to_the_last_bit(results):
    for name in ("loss", "judged", "weights"):
        assert results[0][name] == results[1][name]


def test_they_train_what_one_device_trains(results):
    ours, theirs = results[0], results[2]
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
    assert ours["judged"]["tokens"] == theirs["judged"]["tokens"]
    np.testing.assert_allclose(ours["judged"]["loss"], theirs["judged"]["loss"], rtol=1e-5)
    weights = np.array(ours["weights"]), np.array(theirs["weights"])
    assert np.linalg.norm(weights[0] - weights[1]) <= 1e-5 * np.linalg.norm(weights[1])


def test_each_device_holds_its_piece(results):
    (whole,) = results[2]["held"].values()
    for process in results[:2]:
        assert len(process["held"]) == 2
        assert all(piece < whole / 3 for piece in process["held"].values())
