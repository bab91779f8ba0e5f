"""Two processes train as one, each with its own rows; what ends one of them ends both."""

import json
import os
import shlex
import subprocess
import sys
import time

import numpy as np
import pytest

from llm_keras.data import manifest, order
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, train
from tests import made_up_run
from tests.made_up_run import STEPS, trace

#: Read by every process that Python starts: the workers note what they do, and one has an accident.
HOOKS = """
import hashlib, json, os, signal
if "TF_CONFIG" in os.environ:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from llm_keras.data.records import RecordStore
    from llm_keras.training.step_metrics import StepMetrics
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    notes = os.environ["NOTES"]
    def note(kind, **what):
        with open(f"{notes}/{kind}-{index}", "a") as file:
            file.write(json.dumps(what) + "\\n")
    read, ended = RecordStore.rows, StepMetrics.on_step_end
    def rows(self, numbers):
        note(self.split, rows=[int(number) for number in numbers])
        return read(self, numbers)
    def on_step_end(self, step, logs):
        ended(self, step, logs)
        if step == int(os.environ.get("LAST_STEP", 0)):
            values = [v.numpy().tobytes() for v in self.model.variables]
            note("weights", sha256=hashlib.sha256(b"".join(values)).hexdigest())
        name, worker, at = os.environ.get("ACCIDENT", "- 9 0").split()
        if (index, step) == (int(worker), int(at)):
            note("accident", name=name)
            pid = os.getppid() if name == "SIGTERM" else os.getpid()
            os.kill(pid, getattr(signal, name))
    RecordStore.rows, StepMetrics.on_step_end = rows, on_step_end
"""
TWO = ("training.parallelism.strategy=multi_worker", "training.parallelism.data=2")


@pytest.fixture
def start(tmp_path):
    """Starts `llm-keras launch` for a folder, waits for its end, and gives what came of it."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOKS)
    run = tmp_path / "run.yaml"
    run.write_text(made_up_run.RUN)

    def start(folder, *options, accident="- 9 0"):
        environment = {
            **os.environ,
            "PYTHONPATH": str(hooks),
            "NOTES": str(tmp_path),
            "LAST_STEP": str(STEPS),
            "ACCIDENT": accident,
        }
        command = ["-m", "llm_keras", "launch", str(run), "--output", str(folder.root)]
        sets = [f"--set={field}" for field in TWO]
        return subprocess.run(
            [sys.executable, *command, *sets, *(options or ["--workers", "2"])],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    return start


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    made_up_run.write_corpus(folder)
    return folder


def notes(tmp_path, name, index):
    path = tmp_path / f"{name}-{index}"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def weights(folder):
    tensors = checkpoint_files.newest(folder.checkpoints)[0].tensors("network")
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def test_two_workers_train_what_one_device_trains_and_go_on_after_accidents(
    start, folder, tmp_path, tmp_path_factory
):
    """Uninterrupted first; then the same run with a kill, a freeze and a SIGTERM in it."""
    done = start(folder)
    assert done.returncode == 0, done.stderr
    assert "train: done" in done.stderr
    assert done.stderr.count("train: starts") == 1

    alone = RunFolder(tmp_path_factory.mktemp("alone"))
    made_up_run.write_corpus(alone)
    train(made_up_run.settings(), alone)
    for path in ("metrics", "validation_metrics"):
        ours, theirs = trace(getattr(folder, path)), trace(getattr(alone, path))
        assert [line["step"] for line in ours] == [line["step"] for line in theirs]
        losses = [[line["loss"] for line in lines] for lines in (ours, theirs)]
        np.testing.assert_allclose(*losses, rtol=1e-5)
    difference = np.linalg.norm(weights(folder) - weights(alone))
    assert difference <= 1e-4 * np.linalg.norm(weights(alone))
    assert notes(tmp_path, "weights", 0) == notes(tmp_path, "weights", 1) != []
    _assert_each_read_its_part(tmp_path, folder)

    broken = RunFolder(tmp_path / "broken")
    made_up_run.write_corpus(broken)
    for accident, code, step in (
        ("SIGKILL 1 5", 5, 5),
        ("SIGSTOP 1 11", 5, 11),
        ("SIGTERM 1 14", 3, None),
    ):
        ended = start(broken, accident=accident)
        assert ended.returncode == code, ended.stderr
        assert time.time() - (tmp_path / "accident-1").stat().st_mtime < 60
        saved = checkpoint_files.steps(broken.checkpoints)[0]
        # A step that the chief has not seen the end of is done again.
        assert saved in (step - 1, step) if step else 14 <= saved < STEPS
        assert "Traceback" not in ended.stderr
    assert [note["name"] for note in notes(tmp_path, "accident", 1)] == [
        "SIGKILL",
        "SIGSTOP",
        "SIGTERM",
    ]
    assert start(broken, "--workers", "2").returncode == 0
    made_up_run.assert_same_run(broken, folder)


def _assert_each_read_its_part(tmp_path, folder):
    """Half of every batch each, in the order of steps; more is read ahead than is used."""
    rows = manifest.read(folder.corpus).splits["train"].rows
    for index in (0, 1):
        read = [note["rows"] for note in notes(tmp_path, "train", index)]
        assert STEPS <= len(read) < STEPS + 16
        for step, found in enumerate(read):
            samples = 8 * step + 4 * index + np.arange(4)
            assert found == order.row_at(samples, rows, seed=0).tolist()
    held_out = [
        {row for note in notes(tmp_path, "validation", index) for row in note["rows"]}
        for index in (0, 1)
    ]
    rows = manifest.read(folder.corpus).splits["validation"].rows
    assert held_out[0] | held_out[1] == set(range(rows))
    assert len(held_out[0] & held_out[1]) <= 1  # where there is nothing but padding to read


def test_launch_says_what_a_cluster_manager_must_set(start, folder):
    hosts = "10.0.0.1:2222,10.0.0.2:2222"
    printed = start(folder, "--print-cluster", "--hosts", hosts)
    assert printed.returncode == 0
    assert "# worker 0, on 10.0.0.1, the chief" in printed.stdout
    line = next(line for line in printed.stdout.splitlines() if '"index": 1' in line)
    config = json.loads(shlex.split(line)[1].removeprefix("TF_CONFIG="))
    assert config["cluster"]["worker"] == hosts.split(",")
    assert f"--output={folder.root}" in printed.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strict"], "how many processes? give --workers"),
        (["--workers", "1"], "expected at least 2 workers, got 1"),
        (["--workers", "3"], "2 devices cannot be shared out to 3 workers"),
        (["--workers", "2", "--hosts", "a:1,b:1"], "add --print-cluster"),
        (["--print-cluster", "--hosts", "a,b"], "expected host:port"),
    ],
)
def test_bad_arguments_start_nothing(start, folder, tmp_path, options, message):
    ended = start(folder, *options)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not folder.run_file.exists()


def test_train_alone_says_how_to_start_the_others(folder):
    with pytest.raises(UserError, match=r"this is one process: .* `llm-keras launch --workers N"):
        train(made_up_run.settings(*TWO), folder)
