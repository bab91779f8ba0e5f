"""Checkpoints in the background of a run: what can go wrong while they are written."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from llm_keras import models
from llm_keras.errors import InterruptedRunError, UserError
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, checkpoints, saving, train
from llm_keras.training.callbacks import Validation
from tests.made_up_run import STEPS, assert_same_run, settings, trace, write_corpus


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("uninterrupted"))
    write_corpus(folder)
    train(settings(), folder)
    return folder


def test_a_save_that_fails_ends_the_run_at_a_next_step(folder, uninterrupted):
    """A file is where the folder should be."""
    folder.checkpoints.write_text("in the way")
    with pytest.raises(UserError, match=r"step-00000008: could not be written \(File exists\)"):
        train(settings(), folder)
    assert 8 <= len(trace(folder.metrics)) <= 16
    folder.checkpoints.unlink()
    train(settings(), folder)
    assert_same_run(folder, uninterrupted)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_the_checkpoint_before(small_disk, uninterrupted):
    folder = RunFolder(small_disk / "run")
    write_corpus(folder)
    newest = checkpoint_files.folder_of(uninterrupted.checkpoints, STEPS)
    size = sum(path.stat().st_size + 4096 for path in newest.iterdir())
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - size * 3 // 2))
    with pytest.raises(UserError, match=r"step-00000016: .*No space left on device") as error:
        train(settings(), folder)
    assert "\n" not in str(error.value)
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-00000008"]
    ballast.unlink()
    train(settings(), folder)
    assert_same_run(folder, uninterrupted)


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


def within_validation(monkeypatch):
    original = Validation._interrupt

    def signalled(self, batch, logs=None):
        interrupt()
        monkeypatch.setattr(Validation, "_interrupt", original)
        original(self, batch)

    monkeypatch.setattr(Validation, "_interrupt", signalled)


def within_a_save(monkeypatch):
    original = checkpoints.write

    def signalled(*arguments):
        monkeypatch.setattr(checkpoints, "write", original)
        interrupt()
        time.sleep(0.5)  # Training goes on and has to wait.
        return original(*arguments)

    monkeypatch.setattr(checkpoints, "write", signalled)


@pytest.mark.parametrize("where", [within_validation, within_a_save])
def test_a_signal_is_heard_at_any_time(folder, uninterrupted, where, monkeypatch):
    where(monkeypatch)
    begin = time.monotonic()
    with pytest.raises(InterruptedRunError, match="SIGTERM at step"):
        train(settings(), folder)
    assert time.monotonic() - begin < 30
    newest = checkpoint_files.newest(folder.checkpoints)[0]
    assert newest.step == len(trace(folder.metrics)) < STEPS
    train(settings(), folder)
    assert_same_run(folder, uninterrupted)


def test_a_shard_that_vanishes_is_named_and_the_work_is_saved(folder, uninterrupted, monkeypatch):
    (shard,) = folder.corpus.glob("train-*.tfrecord")
    original = saving.Checkpoints.on_step_end

    def on_step_end(self, step, logs):
        if step == 10:
            shard.rename(shard.with_suffix(".away"))
        original(self, step, logs)

    monkeypatch.setattr(saving.Checkpoints, "on_step_end", on_step_end)
    with pytest.raises(UserError, match="cannot be read any more: No such file") as error:
        train(settings(), folder)
    assert str(shard) in str(error.value)
    newest = checkpoint_files.newest(folder.checkpoints)[0]
    assert newest.step == len(trace(folder.metrics)) >= 10
    monkeypatch.undo()
    shard.with_suffix(".away").rename(shard)
    train(settings(), folder)
    assert_same_run(folder, uninterrupted)


def test_strictly_a_damaged_newest_checkpoint_is_an_error(tmp_path, uninterrupted):
    folder = RunFolder(shutil.copytree(uninterrupted.root, tmp_path / "copy"))
    os.truncate(folder.checkpoints / "step-00000024" / "manifest.json", 100)
    with pytest.raises(UserError, match=r"manifest\.json is not a manifest: --strict") as error:
        train(settings(), folder, strict=True)
    assert "step-00000024" in str(error.value)
    assert "step-00000016" in str(error.value)
    assert trace(folder.metrics) == trace(uninterrupted.metrics)


def test_the_best_and_every_so_many_are_kept(folder, uninterrupted):
    """Each validation, at 7, 14, 21 and 24, is better than those before and saved at once."""
    fields = ("checkpoints=1", "every_steps=8", "best=2")
    run = settings(*(f"training.keep_{field}" for field in fields))
    train(run, folder)
    assert checkpoint_files.steps(folder.checkpoints) == [24, 21, 16, 8]
    assert trace(folder.metrics) == trace(uninterrupted.metrics)
    losses = {line["step"]: line["loss"] for line in trace(folder.validation_metrics)}
    assert sorted(losses, key=losses.get) == [24, 21, 14, 7]
    assert checkpoints.best(folder.checkpoints).manifest["validation_loss"] == losses[24]
    shutil.rmtree(checkpoint_files.folder_of(folder.checkpoints, 24))
    network = models.build(run)
    assert checkpoints.load_network(folder, network, use_best=True) == 21
    for step in (8, 16, 21):
        shutil.rmtree(checkpoint_files.folder_of(folder.checkpoints, step))
    with pytest.raises(UserError, match="no checkpoint has a validation loss"):
        checkpoints.load_network(folder, network, use_best=True)
