"""Checkpoints are complete or absent, and a damaged one is never used."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from llm_keras.errors import UserError
from llm_keras.training import checkpoint_files as files

PARTS = {
    "network": {"0000:kernel": np.arange(6, dtype="float32").reshape(2, 3)},
    "optimizer": {"0000:iteration": np.array(7, "int64")},
}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "checkpoints"


def save(root, step):
    return files.save(root, step, PARTS, {"settings": {"seed": 3}})


def flip(path, offset=-1):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_what_was_saved_is_read_back(root):
    path = save(root, 200)
    assert path == root / "step-00000200"
    checkpoint, problems = files.newest(root)
    assert problems == []
    assert checkpoint.step == 200
    assert checkpoint.manifest["settings"] == {"seed": 3}
    np.testing.assert_array_equal(
        checkpoint.tensors("network")["0000:kernel"], PARTS["network"]["0000:kernel"]
    )
    iteration = checkpoint.tensors("optimizer")["0000:iteration"]
    assert iteration.dtype == "int64"
    assert iteration == 7


def test_an_empty_folder_has_no_checkpoint(root):
    assert files.newest(root) == (None, [])


def test_everyone_may_read_a_checkpoint(root):
    assert (save(root, 1) / "network.safetensors").stat().st_mode & 0o444 == 0o444


DAMAGES = {
    "missing data": (
        lambda path: (path / "optimizer.safetensors").unlink(),
        "optimizer.safetensors: No such file",
    ),
    "flipped byte": (
        lambda path: flip(path / "network.safetensors"),
        "network.safetensors does not have the SHA-256",
    ),
    "truncated": (
        lambda path: os.truncate(path / "network.safetensors", 20),
        "network.safetensors has 20 bytes, not ",
    ),
    "missing manifest": (
        lambda path: (path / "manifest.json").unlink(),
        "manifest.json: No such file",
    ),
    "empty manifest": (
        lambda path: (path / "manifest.json").write_text(""),
        "manifest.json is not a manifest",
    ),
    "manifest of another kind": (
        lambda path: (path / "manifest.json").write_text("[1]"),
        "manifest.json is not a manifest",
    ),
    "altered manifest": (
        lambda path: (path / "manifest.json").write_text(
            (path / "manifest.json").read_text().replace('"seed": 3', '"seed": 4')
        ),
        "manifest.json was altered",
    ),
    "renamed folder": (
        lambda path: path.rename(path.with_name("step-00000400")),
        "manifest.json is of step 300",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(root, damage, message):
    save(root, 200)
    newest = save(root, 300)
    assert files.newest(root)[0].step == 300
    damage(newest)
    checkpoint, problems = files.newest(root)
    assert checkpoint.step == 200
    assert len(problems) == 1
    assert message in problems[0]
    assert str(root) in problems[0]


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_training_never_starts_anew_over_damaged_checkpoints(root, damage, message):
    damage(save(root, 300))
    with pytest.raises(UserError, match="no checkpoint can be used") as error:
        files.newest(root)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_damaged_checkpoints_are_set_aside_and_still_count_as_checkpoints(root):
    save(root, 200)
    flip(save(root, 300) / "network.safetensors")
    checkpoint, _ = files.newest(root)
    files.set_aside(root, checkpoint)
    assert sorted(path.name for path in root.iterdir()) == [
        "damaged-step-00000300",
        "step-00000200",
    ]
    save(root, 300)
    assert files.newest(root)[0].step == 300
    for step in (200, 300):
        files.folder_of(root, step).rename(root.parent / f"elsewhere-{step}")
    with pytest.raises(UserError, match="damaged-step-00000300"):
        files.newest(root)


def test_a_checkpoint_of_a_later_format_is_refused(root):
    path = save(root, 200) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    files._save_manifest(path, {**manifest, "format": 9})
    with pytest.raises(UserError, match="format 9, but this llm-keras reads 1"):
        files.newest(root)


def test_leftovers_of_a_killed_process_are_no_checkpoints_and_are_removed(root):
    save(root, 200)
    (root / ".writing-step-00000300").mkdir()
    (root / ".writing-step-00000300" / "network.safetensors").write_bytes(b"half")
    (root / ".removing-step-00000100").mkdir()
    assert files.newest(root)[0].step == 200
    files.clean(root)
    assert [path.name for path in root.iterdir()] == ["step-00000200"]


FULL_DISK = """
import resource, sys, numpy as np
from pathlib import Path
from llm_keras.errors import UserError
from llm_keras.training import checkpoint_files as files
root = Path(sys.argv[1])
small = {"network": {"a": np.zeros(10, "float32")}}
large = {"network": {"a": np.zeros(100_000, "float32")}}
files.save(root, 100, small, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    files.save(root, 200, large, {})
except UserError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_checkpoint_before(root):
    """The operating system really refuses: files may not grow beyond 50 kB."""
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(root)], capture_output=True, text=True, check=True
    )
    assert "step-00000200: could not be written" in child.stdout
    assert "File too large" in child.stdout
    assert child.stdout.count("\n") == 1
    assert [path.name for path in root.iterdir()] == ["step-00000100"]
    assert files.newest(root)[0].step == 100


KILLED = """
import os, signal, sys, numpy as np
from pathlib import Path
from llm_keras.training import checkpoint_files as files, keeping
PARTS = {"network": {"a": np.zeros(50_000, "float32")}, "optimizer": {"b": np.ones(9, "float32")}}
CALLS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.chmod")

def save_and_die(root, moment):
    files.save(root, 100, PARTS, {})
    calls = []
    def hook(event, arguments):
        if event in CALLS:
            calls.append(event)
            if len(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    files.save(root, 200, PARTS, {})
    keeping.prune(root, keeping.Keep(last=1))
    os._exit(0)

for moment in range(1, 100):
    child = os.fork()
    if child == 0:
        save_and_die(Path(sys.argv[1]) / str(moment), moment)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    print(moment)
"""


def test_a_kill_at_any_moment_of_a_save_leaves_a_usable_checkpoint(tmp_path):
    """SIGKILL before each call to the operating system; always one of the two steps restores."""
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    moments = child.stdout.split()
    restored = []
    for moment in moments:
        root = tmp_path / moment
        checkpoint, problems = files.newest(root)
        assert problems == []
        restored.append(checkpoint.step)
        files.clean(root)
        assert all(path.name.startswith("step-") for path in root.iterdir())
    assert len(moments) >= 15
    assert set(restored) == {100, 200}
    assert restored == sorted(restored)
