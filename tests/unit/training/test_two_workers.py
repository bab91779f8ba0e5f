"""Two processes with two devices each train what one device trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("two_workers.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each worker found, and one device alone."""
    folder = tmp_path_factory.mktemp("two_workers")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    for arguments in ([folder / "many"], ["one", folder / "one"]):
        subprocess.run(
            [sys.executable, PROGRAM, *arguments], check=True, env=environment, timeout=600
        )
    return [json.loads((folder / name).read_text()) for name in ("many-0", "many-1", "one-0")]


def test_each_worker_knows_its_part(results):
    assert [result["who"] for result in results] == [[0, 2, True], [1, 2, False], [0, 1, True]]


def test_numbers_go_from_process_to_process(results):
    for result in results[:2]:
        assert result["sum"] == 5 + 6
        assert result["from_chief"] == 5
        assert result["any"] == [True, False]


@pytest.mark.parametrize("way", ["accumulation", "bfloat16", "encoder_decoder"])
def test_workers_are_equal_to_the_last_bit(results, way):
    assert results[0][way] == results[1][way]


@pytest.mark.parametrize("way", ["accumulation", "encoder_decoder"])
def test_they_train_what_one_device_trains(results, way):
    ours, theirs = results[0][way], results[2][way]
    assert ours["tokens"] == theirs["tokens"]
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(ours["judged"]["loss"], theirs["judged"]["loss"], rtol=1e-5)
    assert ours["judged"]["tokens"] == theirs["judged"]["tokens"]
    weights = np.array(ours["weights"]), np.array(theirs["weights"])
    assert np.linalg.norm(weights[0] - weights[1]) <= 1e-4 * np.linalg.norm(weights[1])


def test_in_bfloat16_they_differ_by_its_rounding(results):
    ours, theirs = results[0]["bfloat16"], results[2]["bfloat16"]
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=2e-3)
