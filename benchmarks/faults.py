"""What befalls a training, done to a real one: kills, signals, full disks, damage, divergence.

    .venv/bin/python benchmarks/faults.py             # all: 20 kills at steps, 50 within saves
    .venv/bin/python benchmarks/faults.py --short     # 3 kills of each kind
    .venv/bin/python benchmarks/faults.py kill nan    # rows that have a word

Every row is `llm-keras train` in processes of its own, on records of the bundled text. It passes
if what was expected was said, with its exit code, and if the run that goes on has in the end the
losses of metrics.jsonl byte for byte, and the files of the last checkpoint bit for bit, of one
that nothing happened to. Processes are forks of this one, which has imported TensorFlow but not
started it: a fork starts in half the time. Faults are put in by this script, not by the product.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")

import tensorflow as tf

from llm_keras import cli
from llm_keras.run_folder import RunFolder
from llm_keras.training import callbacks, checkpoint_files, checkpoints, gradients, saving

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("llm-keras")
LONG, SHORT, EVERY = 400, 24, 8
RUN = f"""
corpus:
  sources: [{{name: addresses, kind: text, path: {ROOT}/examples/data/state_of_the_union}}]
  workers: 1
tokenizer: {{vocabulary_size: 2048}}
records: {{sequence_length: 32, shards: 2}}
model: {{num_layers: 1, hidden_dim: 128, intermediate_dim: 256, num_query_heads: 2, dropout: 0.1}}
training:
  total_steps: {SHORT}
  global_batch_size: 4
  validate_every_steps: 12
  validation_rows: 16
  checkpoint_every_steps: {EVERY}
  schedule: {{warmup_steps: 5}}
"""
LOSS = re.compile(r'^\{"step": (\d+), "loss": ([^,]+),', re.MULTILINE)

Hook = Callable[[], None]


class Ended(NamedTuple):
    """How a process ended: its exit code, or minus the signal; what it said; how long it took."""

    code: int
    said: str
    seconds: float


class Process:
    """`llm-keras train` in a fork of this process.

    Args:
        folder: The run's.
        *arguments: Further ones of the command line.
        hook: Called in the fork first: puts the fault in.
    """

    def __init__(self, folder: RunFolder, *arguments: str, hook: Hook | None = None) -> None:
        self.log = folder.root.with_suffix(".log")
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_train(folder, arguments, hook, self.log))

    def end(self) -> Ended:
        """Waits for its end."""
        status = os.waitpid(self.pid, 0)[1]
        seconds = time.monotonic() - self.started
        return Ended(os.waitstatus_to_exitcode(status), self.log.read_text(), seconds)

    def wait_for(self, path: Path) -> None:
        """Waits until the process has made a file."""
        while not path.exists():
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                raise AssertionError(f"ended before {path.name}: {self.log.read_text()[-500:]}")
            time.sleep(0.01)


def _train(folder: RunFolder, arguments: tuple[str, ...], hook: Hook | None, log: Path) -> int:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["llm-keras", "train", str(folder.root), *arguments]
    code = 0
    try:
        if hook is not None:
            hook()
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    return code


def train(folder: RunFolder, *arguments: str, hook: Hook | None = None) -> Ended:
    """Trains until the end, whatever it is."""
    return Process(folder, *arguments, hook=hook).end()


def expect(ended: Ended, code: int, *words: str) -> None:
    """Checks how a process ended; a user's mistake is one line."""
    missing = [word for word in words if word not in ended.said]
    if ended.code != code or missing:
        raise AssertionError(f"code {ended.code}, not {code}; {missing} not in {ended.said[-900:]}")
    if code == 2:
        assert ended.said.splitlines()[-1].startswith("error: "), ended.said[-900:]


def after_step(step: int, do: Hook) -> Hook:
    """A hook that does something when a step is written down, and not saved yet."""

    def hook() -> None:
        save = saving.Checkpoints.on_step_end

        def on_step_end(self: saving.Checkpoints, now: int, logs: callbacks.Logs) -> None:
            if now == step:
                do()
            save(self, now, logs)

        saving.Checkpoints.on_step_end = on_step_end  # type: ignore[method-assign,assignment]

    return hook


def kill_self() -> None:
    """What `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def around_saves(do: Callable[[int, Hook], None]) -> Hook:
    """A hook that is given the number of each save, and the function that writes it."""

    def hook() -> None:
        original, count = checkpoints.write, [0]

        def write(*arguments: object) -> Path:
            count[0] += 1
            path: list[Path] = []
            do(count[0], lambda: path.append(original(*arguments)))  # type: ignore[arg-type]
            return path[0]

        checkpoints.write = write  # type: ignore[assignment]

    return hook


def spoiled(factors: dict[int, float], batch_size: int = 4) -> Hook:
    """A hook that multiplies the loss and the gradient of some steps, in the compiled step."""

    def hook() -> None:
        original = gradients.Learner.accumulate

        def accumulate(
            self: gradients.Learner, batch: dict[str, tf.Tensor], micro_batches: int
        ) -> gradients.Sums:
            sums = original(self, batch, micro_batches)
            step, factor = batch["key"][0, 1] // batch_size + 1, tf.constant(1.0)
            for bad, by in factors.items():
                factor = tf.where(step == bad, by, factor)
            spoilt = [gradient * factor for gradient in sums.gradients]
            return sums._replace(loss=sums.loss * factor, gradients=spoilt)

        gradients.Learner.accumulate = accumulate  # type: ignore[method-assign]

    return hook


class Faults:
    """The rows of the table; each is a method `row_*` that gives a line about what was seen.

    Args:
        work: An empty folder.
        kills: How many at steps, and how many within saves.
        seed: Of the random moments.
    """

    def __init__(self, work: Path, kills: tuple[int, int], seed: int) -> None:
        self.work, self.kills, self.random = work, kills, random.Random(seed)
        self.base = RunFolder(work / "base")
        (work / "faults.yaml").write_text(RUN)
        for stage in ("curate", "tokenizer", "tokenize"):
            command = [PROGRAM, stage, work / "faults.yaml", "--output", self.base.root]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        self.short = self._reference("short")
        # Without validations, whose graph takes longer to make than most of these processes live.
        fields = (f"total_steps={LONG}", f"validate_every_steps={LONG}")
        self.for_long = [f"--set=training.{field}" for field in fields]
        self.long = self._reference("long", *self.for_long)

    def folder(self, name: str, root: Path | None = None) -> RunFolder:
        """A run that is ready to train."""
        return RunFolder(shutil.copytree(self.base.root, (root or self.work) / name))

    def _reference(self, name: str, *arguments: str, hook: Hook | None = None) -> RunFolder:
        folder = self.folder(name)
        expect(train(folder, *arguments, hook=hook), 0)
        return folder

    @contextmanager
    def copy_of_short(self, name: str) -> Iterator[RunFolder]:
        """A finished run, to be damaged; in the end it must be what it was."""
        folder = RunFolder(shutil.copytree(self.short.root, self.work / name))
        yield folder
        same(folder, self.short)

    def row_kill_at_steps(self) -> str:
        """31: kill -9 at random steps, each resumed until the next."""
        folder, arguments = self.folder("steps"), self.for_long
        for step in sorted(self.random.sample(range(1, LONG), self.kills[0])):
            ended = train(folder, *arguments, hook=after_step(step, kill_self))
            expect(ended, -signal.SIGKILL)
        expect(train(folder, *arguments), 0, "goes on after step")
        same(folder, self.long)
        return f"{self.kills[0]} kills"

    def row_kill_within_saves(self) -> str:
        """32: kill -9 at random moments while a checkpoint is written."""
        folder = self.folder("saves")
        arguments = (*self.for_long, "--set=training.checkpoint_every_steps=2")
        lasts, found = [0.05], Counter[str]()

        def kill_within(longest: float, seed: int) -> Callable[[int, Hook], None]:
            delays = random.Random(seed)

            def do(number: int, write: Hook) -> None:
                # Another moment in each save: one that is too late for all would never come.
                timer = threading.Timer(delays.uniform(0.0, longest), kill_self)
                if number > 1:  # The first goes through, so that there is progress.
                    timer.start()
                begin = time.monotonic()
                write()
                timer.cancel()
                with (folder.root / "save_seconds").open("a") as file:
                    file.write(f"{time.monotonic() - begin}\n")

            return do

        while found.total() < self.kills[1]:
            kill = kill_within(1.1 * sorted(lasts)[len(lasts) // 2], self.random.randrange(2**31))
            ended = train(folder, *arguments, hook=around_saves(kill))
            if ended.code == 0:
                raise AssertionError(f"the run ended after {found.total()} kills")
            expect(ended, -signal.SIGKILL)
            found[_left(folder)] += 1
            checkpoint, problems = checkpoint_files.newest(folder.checkpoints)
            assert checkpoint is not None
            assert not problems
            lasts = [float(line) for line in (folder.root / "save_seconds").read_text().split()]
        expect(train(folder, *arguments), 0, "goes on after step")
        same(folder, self.long)
        seen = ", ".join(f"{count} {what}" for what, count in found.items())
        return f"{found.total()} kills: {seen}; a save takes {sorted(lasts)[len(lasts) // 2]:.3f} s"

    def row_sigterm(self) -> str:
        """33: SIGTERM within a step, a validation and a save: exit code 3 in time."""
        told = []
        for where in ("step", "validation", "save"):
            folder = self.folder(f"sigterm-{where}")
            mark = folder.root / "now"
            process = Process(folder, hook=_slow(where, mark))
            process.wait_for(mark)
            begin = time.monotonic()
            os.kill(process.pid, signal.SIGTERM)
            expect(process.end(), 3, "SIGTERM at step", "saved; run `llm-keras train` again")
            seconds = time.monotonic() - begin
            assert seconds < 30, f"{where}: {seconds}"
            expect(train(folder), 0)
            same(folder, self.short)
            told.append(f"{where} {seconds:.1f} s")
        return ", ".join(told)

    def row_disk_full(self) -> str:
        """34: no room for the second checkpoint, on a real file system."""
        root = self.work / "disk"
        root.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(root)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            return "not tried: no right to mount"
        try:
            folder = self.folder("full", root)
            (root / "ballast").write_bytes(bytes(shutil.disk_usage(root).free - (8 << 20)))
            expect(train(folder), 2, "could not be written", "No space left on device")
            assert checkpoint_files.newest(folder.checkpoints)[0].step == EVERY  # type: ignore[union-attr]
            assert not list(folder.checkpoints.glob(".writing-*"))
            (root / "ballast").unlink()
            expect(train(folder), 0, f"goes on after step {EVERY}")
            same(folder, self.short)
        finally:
            subprocess.run(["umount", str(root)], check=True)
        return f"checkpoint of step {EVERY} kept"

    def row_damaged_checkpoint(self) -> str:
        """35, 36: the newest checkpoint or its manifest is cut, altered or away."""
        for name, damage in DAMAGES.items():
            with self.copy_of_short(f"damaged {name}") as folder:
                newest = checkpoint_files.folder_of(folder.checkpoints, SHORT)
                damage(newest)
                expect(train(folder, "--strict"), 2, newest.name, "--strict")
                before = f"using {checkpoint_files.folder_of(folder.checkpoints, SHORT - EVERY)}"
                expect(train(folder), 0, "warning: ", newest.name, before)
        with self.copy_of_short("all damaged") as folder:
            kept = shutil.copytree(folder.checkpoints, self.work / "kept")
            for path in folder.checkpoints.iterdir():
                (path / "manifest.json").write_text("")
            expect(train(folder), 2, "no checkpoint can be used")
            shutil.rmtree(folder.checkpoints)
            kept.rename(folder.checkpoints)
        return f"{len(DAMAGES)} kinds; never from step 0"

    def row_nan(self) -> str:
        """37: stop, skip, roll back, spikes; each killed once and resumed."""
        hook = spoiled({15: float("nan")})
        folder = self.folder("nan")
        expect(train(folder, hook=hook), 4, "step 15: ", "newest checkpoint is of step 8")
        told = ["stop"]
        for name, (policy, factors) in POLICIES.items():
            arguments = [f"--set=training.divergence.{field}" for field in policy]
            hook = spoiled(factors)
            whole = self._reference(f"{name} whole", *arguments, hook=hook)
            folder = self.folder(f"{name} killed")

            def both(hook: Hook = hook) -> None:
                hook()
                after_step(21, kill_self)()

            expect(train(folder, *arguments, hook=both), -signal.SIGKILL)
            expect(train(folder, *arguments, hook=hook), 0, "goes on after step")
            same(folder, whole)
            assert '"skipped"' in folder.metrics.read_text()
            told.append(name)
        every = spoiled(dict.fromkeys(range(10, SHORT), float("nan")))
        expect(
            train(self.folder("in a row"), "--set=training.divergence.on_nan=skip", hook=every),
            4,
            "step 12: ",
            "3 in a row",
        )
        return ", ".join([*told, "3 in a row"])

    def row_changed_setting(self) -> str:
        """38: a setting that changes losses."""
        with self.copy_of_short("changed") as folder:
            expect(train(folder, "--set=model.num_layers=3"), 2, "model.num_layers was 1 and is 3")
        return "model.num_layers"

    def row_failed_save(self) -> str:
        """41: the background save fails: the next step says so, and it is never the newest."""
        folder = self.folder("failed save")

        first = self.work / "first"

        def keep(number: int, write: Hook) -> None:
            if number == 2:
                folder.checkpoints.rename(first)
                folder.checkpoints.write_text("a file in the place of the folder")
            write()

        expect(train(folder, hook=around_saves(keep)), 2, "step-00000016: could not be written")
        steps = len(LOSS.findall(folder.metrics.read_text()))
        assert steps < SHORT, steps
        folder.checkpoints.unlink()
        first.rename(folder.checkpoints)
        expect(train(folder), 0, f"goes on after step {EVERY}")
        same(folder, self.short)
        return f"failed in the save of step 16, ended after step {steps}"

    def row_shard_vanishes(self) -> str:
        """42: a checkpoint, then the file is named."""
        folder = self.folder("shard")
        shards = sorted(folder.corpus.glob("train-*.tfrecord"))

        def vanish() -> None:
            for shard in shards:
                shard.rename(shard.with_suffix(".away"))

        ended = train(folder, hook=after_step(10, vanish))
        expect(ended, 2, ".tfrecord: cannot be read any more")
        step = checkpoint_files.newest(folder.checkpoints)[0].step  # type: ignore[union-attr]
        assert step >= 10
        for shard in shards:
            shard.with_suffix(".away").rename(shard)
        expect(train(folder), 0, f"goes on after step {step}")
        same(folder, self.short)
        return f"vanished after step 10, saved at {step}"

    def row_two_writers(self) -> str:
        """30: the second is refused."""
        folder = self.folder("two")
        mark = folder.root / "now"
        process = Process(folder, hook=_slow("step", mark))
        process.wait_for(mark)
        other = RunFolder(self.work / "two again")  # another name, for a log of its own
        other.root.symlink_to(folder.root)
        expect(train(other), 2, "trains here already")
        expect(process.end(), 0)
        same(folder, self.short)
        return "the first goes on"


def same(folder: RunFolder, other: RunFolder) -> None:
    """Losses byte for byte, and the files of the last checkpoint."""
    ours, theirs = (LOSS.findall(each.metrics.read_text()) for each in (folder, other))
    if ours != theirs:
        place = next((a for a, b in zip(ours, theirs, strict=False) if a != b), len(ours))
        raise AssertionError(f"{len(ours)} and {len(theirs)} losses, other ones from {place} on")
    mine, its = (checkpoint_files.newest(each.checkpoints)[0] for each in (folder, other))
    assert mine is not None
    assert its is not None
    assert mine.manifest["files"] == its.manifest["files"], "another last checkpoint"


def _left(folder: RunFolder) -> str:
    """What a kill within a save left."""
    root = folder.checkpoints
    for writing in root.glob(".writing-*"):
        names = {path.name for path in writing.iterdir()}
        if checkpoint_files.MANIFEST in names:
            return "after the manifest"
        return f"in file {len(names)}" if names else "before the first file"
    return "while old ones go" if list(root.glob(".removing-*")) else "before or after"


def _slow(where: str, mark: Path) -> Hook:
    """A hook that makes one moment of a run long, and leaves a mark when it has come."""

    def pause() -> None:
        mark.touch()
        time.sleep(6)

    def in_save(number: int, write: Hook) -> None:
        if number == 1:
            pause()
        write()

    def in_validation() -> None:
        original = callbacks.Validation._interrupt

        def interrupt(self: callbacks.Validation, batch: int, logs: object = None) -> None:
            if not mark.exists():
                pause()
            original(self, batch)

        callbacks.Validation._interrupt = interrupt  # type: ignore[method-assign]

    hooks: dict[str, Hook] = {
        "step": after_step(5, pause),
        "validation": in_validation,
        "save": around_saves(in_save),
    }
    return hooks[where]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": lambda path: _flip(path / "network.safetensors"),
    "truncated": lambda path: os.truncate(path / "optimizer.safetensors", 1000),
    "missing": lambda path: (path / "optimizer.safetensors").unlink(),
    "manifest torn": lambda path: os.truncate(path / "manifest.json", 200),
    "manifest missing": lambda path: (path / "manifest.json").unlink(),
}
NAN = float("nan")
#: Policy -> fields of training.divergence, and what the loss of steps is multiplied by.
POLICIES: dict[str, tuple[tuple[str, ...], dict[int, float]]] = {
    "skip": (("on_nan=skip",), {11: NAN, 20: NAN}),
    "roll back": (("on_nan=roll_back",), {20: NAN}),
    "spike": (
        ("on_nan=skip", "on_spike=roll_back", "spike_factor=3", "spike_window_steps=6"),
        {12: 50.0, 20: NAN},
    ),
}


def main() -> int:
    """Prints the table; the number of rows that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*")
    parser.add_argument("--short", action="store_true", help="the same as --kills 3 3")
    parser.add_argument("--kills", type=int, nargs=2, default=(20, 50), help="at steps, in saves")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        begin = time.monotonic()
        faults = Faults(Path(work), (3, 3) if options.short else tuple(options.kills), options.seed)
        print(f"two runs that nothing happens to: {time.monotonic() - begin:.0f} s", flush=True)
        print("| fault | result | seen | seconds |\n|---|---|---|---|", flush=True)
        for name in [name for name in dir(Faults) if name.startswith("row_")]:
            row = getattr(faults, name)
            title = f"{name[4:].replace('_', ' ')} ({row.__doc__.partition(':')[0]})"
            if options.words and not any(word in title for word in options.words):
                continue
            begin = time.monotonic()
            try:
                result, seen = "passed", row()
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                result, seen = "FAILED", " ".join(str(error).split())
                failed += 1
            print(f"| {title} | {result} | {seen} | {time.monotonic() - begin:.0f} |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
