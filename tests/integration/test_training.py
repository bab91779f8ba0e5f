"""The training recipe on a made-up corpus: stopped, killed, damaged, misused."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llm_keras.data import manifest, order
from llm_keras.errors import DivergedError, UserError
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, checkpoints, train
from llm_keras.training.lock import only_one
from llm_keras.training.step_metrics import BY_THE_CLOCK
from tests.made_up_run import (
    STEPS,
    TOKENIZER,
    assert_same_run,
    in_child,
    settings,
    trace,
    write_corpus,
)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run that nothing happened to."""
    folder = RunFolder(tmp_path_factory.mktemp("uninterrupted"))
    write_corpus(folder)
    train(settings(), folder)
    return folder


def test_a_run_leaves_every_step_its_validations_and_checkpoints(uninterrupted):
    lines = [json.loads(line) for line in uninterrupted.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    fields = {"step", "loss", "tokens", "learning_rate", "grad_norm"}
    assert all(set(line) - set(BY_THE_CLOCK) == fields for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.1
    validations = trace(uninterrupted.validation_metrics)
    assert [line["step"] for line in validations] == [7, 14, 21, STEPS]
    assert validations[-1]["loss"] < validations[0]["loss"]
    saved = sorted(path.name for path in uninterrupted.checkpoints.iterdir())
    assert saved == ["step-00000016", "step-00000024"]
    facts = checkpoint_files.newest(uninterrupted.checkpoints)[0].manifest
    assert facts["settings"]["model.dropout"] == 0.1
    assert facts["threads"]["intra_op"] >= 1
    assert facts["data"]["tokenizer"] == hashlib.sha256(TOKENIZER).hexdigest()


def test_a_finished_run_has_nothing_to_do(uninterrupted, capfd):
    before = uninterrupted.metrics.stat().st_mtime_ns
    train(settings(), uninterrupted)
    assert f"all {STEPS} steps are done already" in capfd.readouterr().err
    assert uninterrupted.metrics.stat().st_mtime_ns == before


def test_after_a_kill_the_losses_are_those_of_an_uninterrupted_run(folder, uninterrupted):
    """SIGKILL after step 13, in a process of its own; the last checkpoint is of step 8."""
    kill = """
def kill(step):
    if step == 13:
        time.sleep(1)  # as long as it takes to write the checkpoint of step 8 in the background
        os.kill(os.getpid(), signal.SIGKILL)
after_step(kill)
"""
    child = in_child(folder, kill)
    assert child.communicate()[0] == ""
    assert child.returncode == -signal.SIGKILL
    assert checkpoint_files.steps(folder.checkpoints) == [8]
    assert len(trace(folder.validation_metrics)) == 1
    train(settings(), folder)
    assert_same_run(folder, uninterrupted)


def test_sigterm_saves_and_says_so(folder, uninterrupted):
    child = in_child(folder, "after_step(lambda step: (print(step, flush=True), time.sleep(0.3)))")
    assert child.stdout.readline() == "1\n"
    child.send_signal(signal.SIGTERM)
    last = child.communicate(timeout=30)[0].splitlines()[-1]
    assert child.returncode == 3
    (step,) = checkpoint_files.steps(folder.checkpoints)
    assert 1 <= step < STEPS
    assert f"SIGTERM at step {step} of {STEPS}: saved; run `llm-keras train` again" in last
    assert len(trace(folder.metrics)) == step
    train(settings(), folder)
    assert_same_run(folder, uninterrupted)


def test_two_devices_train_what_one_trains(folder, uninterrupted):
    """Through the whole recipe; then one device finds nothing left to do."""
    split = "from llm_keras.parallel import devices; devices.split_cpu(2)"
    child = in_child(folder, split, "training.parallelism.data=2")
    assert child.communicate()[0] == ""
    assert child.returncode == 0
    ours, theirs = trace(folder.metrics), trace(uninterrupted.metrics)
    for name in ("loss", "learning_rate", "grad_norm"):
        values = [[line[name] for line in lines] for lines in (ours, theirs)]
        np.testing.assert_allclose(*values, rtol=1e-5, err_msg=name)
    assert [line["tokens"] for line in ours] == [line["tokens"] for line in theirs]
    validations = trace(folder.validation_metrics), trace(uninterrupted.validation_metrics)
    losses = [[line["loss"] for line in lines] for lines in validations]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    train(settings(), folder)


def test_a_damaged_newest_checkpoint_is_named_and_training_goes_on_from_the_one_before(
    tmp_path, uninterrupted, capfd
):
    folder = RunFolder(shutil.copytree(uninterrupted.root, tmp_path / "copy"))
    damaged = folder.checkpoints / "step-00000024" / "optimizer.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    train(settings("training.keep_checkpoints=3"), folder)
    said = capfd.readouterr().err
    assert said.count("warning") == 1
    assert "step-00000024: optimizer.safetensors does not have the SHA-256" in said
    assert f"using {folder.checkpoints / 'step-00000016'} instead" in said
    assert "goes on after step 16" in said
    assert (folder.checkpoints / "damaged-step-00000024").is_dir()
    assert_same_run(folder, uninterrupted)


def test_a_validation_that_a_kill_prevented_is_made_up_for(tmp_path, uninterrupted):
    folder = RunFolder(shutil.copytree(uninterrupted.root, tmp_path / "copy"))
    run = settings("training.validate_every_steps=8")
    shutil.rmtree(folder.checkpoints / "step-00000024")
    train(run, folder)
    assert [line["step"] for line in trace(folder.validation_metrics)] == [7, 14, 16, STEPS]
    assert trace(folder.metrics) == trace(uninterrupted.metrics)


def test_training_never_starts_anew_over_damaged_checkpoints(tmp_path, uninterrupted):
    folder = RunFolder(shutil.copytree(uninterrupted.root, tmp_path / "copy"))
    for path in folder.checkpoints.iterdir():
        (path / "network.safetensors").unlink()
    before = folder.metrics.read_bytes()
    with pytest.raises(UserError, match="no checkpoint can be used"):
        train(settings(), folder)
    assert folder.metrics.read_bytes() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hidden_dim=32", "model.hidden_dim was 16 and is 32"),
        ("training.total_steps=48", "training.total_steps was 24 and is 48"),
        ("seed=4", "seed was 0 and is 4"),
    ],
)
def test_a_changed_setting_is_refused_with_old_and_new(uninterrupted, override, message):
    with pytest.raises(UserError, match="cannot be continued") as error:
        train(settings(override), uninterrupted)
    assert message in str(error.value)


def test_another_corpus_is_refused(tmp_path, uninterrupted):
    folder = RunFolder(shutil.copytree(uninterrupted.root, tmp_path / "copy"))
    shutil.rmtree(folder.corpus)
    shutil.rmtree(folder.tokenizer_model.parent)
    write_corpus(folder, np.random.default_rng(1))
    with pytest.raises(UserError, match=r"the corpus was .* and is"):
        train(settings(), folder)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("records.sequence_length=32", "records.sequence_length is 32, but the records"),
        ("tokenizer.vocabulary_size=400", "tokenizer.vocabulary_size is 400, but the records"),
        ("training.parallelism.data=4", "4 devices are asked for, but 1 is visible"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, override, message):
    with pytest.raises(UserError) as error:
        train(settings(override), folder)
    assert message in str(error.value)
    assert not folder.metrics.exists()
    assert not folder.checkpoints.exists()


def test_another_tokenizer_is_refused(folder):
    folder.tokenizer_model.write_bytes(b"another one")
    with pytest.raises(UserError, match="records made with tokenizer"):
        train(settings(), folder)


def test_without_a_corpus_it_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="llm-keras tokenize"):
        train(settings(), RunFolder(tmp_path / "empty"))


def test_two_trainings_in_one_folder_are_one_too_many(folder):
    with only_one(folder.training_lock), pytest.raises(UserError, match="trains here already"):
        train(settings(), folder)


def test_a_damaged_row_is_named_and_the_work_before_it_is_saved(folder):
    """The flipped byte is in a row that step 6 is the first to need."""
    store = manifest.read(folder.corpus)
    shard = next(shard for shard in store.shards if shard.split == "train")
    needed = order.row_at(np.arange(8 * 6), shard.rows, seed=0)
    row = next(row for row in needed[8 * 5 :] if row not in needed[: 8 * 5])
    path = folder.corpus / shard.file
    content = bytearray(path.read_bytes())
    content[row * store.record_bytes + 50] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"record {row} at byte .*checksum") as error:
        train(settings(), folder)
    assert shard.file in str(error.value)
    assert "\n" not in str(error.value)
    assert checkpoint_files.steps(folder.checkpoints) == [5]


def test_divergence_ends_the_run_and_keeps_the_checkpoint_before(folder):
    run = settings(
        "training.optimizer.learning_rate=1e25",
        "training.schedule.warmup_steps=1",
        "training.checkpoint_every_steps=1",
    )
    with pytest.raises(DivergedError, match="loss or its gradient is not a finite") as error:
        train(run, folder)
    (newest, *_) = checkpoint_files.steps(folder.checkpoints)
    assert f"step {newest + 1}: " in str(error.value)
    assert f"The newest checkpoint is of step {newest}" in str(error.value)
    assert len(trace(folder.metrics)) == newest
    for array in checkpoint_files.newest(folder.checkpoints)[0].tensors("network").values():
        assert np.isfinite(array).all()


def test_trained_weights_load_into_a_network(uninterrupted, tmp_path):
    from llm_keras import models

    network = models.build(settings())
    assert checkpoints.load_network(uninterrupted, network) == STEPS
    final = network.embedding.embeddings.numpy()
    assert checkpoints.load_network(uninterrupted, network, step=16) == 16
    assert not np.array_equal(network.embedding.embeddings.numpy(), final)
    with pytest.raises(UserError, match=r"step-00000003: manifest\.json: No such file"):
        checkpoints.load_network(uninterrupted, network, step=3)
    with pytest.raises(UserError, match="no checkpoint; run `llm-keras train` first"):
        checkpoints.load_network(RunFolder(tmp_path), network)
    wider = models.build(settings("model.hidden_dim=32"))
    with pytest.raises(UserError, match=r"embeddings \(300, 16\) where the run file's has"):
        checkpoints.load_network(uninterrupted, wider)


def test_the_example_in_plain_python_learns_its_language():
    script = Path(__file__).parents[2] / "examples" / "train_in_python.py"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    child = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert child.stdout.endswith(", 0 mistakes\n")
    assert len(script.read_text().splitlines()) < 60
