"""Checkpoints between the steps of a run, written while training goes on."""
# ruff: noqa: ARG002 - Keras hands its arguments over by name.

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_keras import config, console
from llm_keras.training import checkpoints, keeping
from llm_keras.training.background import BackgroundWriter
from llm_keras.training.callbacks import Logs, StepCallback
from llm_keras.training.checkpoints import Snapshot
from llm_keras.training.json_lines import JsonLines
from llm_keras.training.keeping import VALIDATION_LOSS, Keep
from llm_keras.training.stopping import StopRequest


class Checkpoints(StepCallback):
    """Saves every so many steps, after the last, after one of the best validations, and on a stop.

    Training waits while the state is copied to memory of its own, and for the save before if that
    is not done yet. The rest happens in the background: the metrics up to the step reach the disk,
    then the checkpoint, then old ones go. A save that fails ends the training at the next step.

    Args:
        root: Folder of the checkpoints.
        settings: Section `training` of the run.
        facts_at: Step -> what the manifest says besides; see `resume.facts` and `keeping`.
        metrics: metrics.jsonl.
        writer: Whose context ends before the metrics are closed.
        stop: Whether to stop.

    Attributes:
        stalled_seconds: How long training has waited for saves, in all.
        saved_step: The last one that was saved, 0 before that.
    """

    def __init__(
        self,
        root: Path,
        settings: config.Training,
        facts_at: Callable[[int], Mapping[str, Any]],
        metrics: JsonLines,
        writer: BackgroundWriter,
        stop: StopRequest,
    ) -> None:
        super().__init__()
        self._root, self._settings, self._facts_at = root, settings, facts_at
        self._metrics, self._writer, self._stop = metrics, writer, stop
        self._keep = keep_of(settings)
        self._losses = keeping.losses_of(root)
        self.stalled_seconds, self.saved_step = 0.0, 0

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Saves if it is time, and ends `fit` if somebody asked."""
        self._writer.check()
        every, last = self._settings.checkpoint_every_steps, self._settings.total_steps
        if step % every == 0 or step == last or self._stop or self._is_among_the_best(step):
            self.save()
        if self._stop:
            self.model.stop_training = True

    def save(self) -> None:
        """Takes the state of now and has it written."""
        begin = time.perf_counter()
        self._metrics.flush()
        self._writer.wait()  # Two states in memory are enough: the one of training, and this one.
        state = checkpoints.snapshot(self.model)
        facts = dict(self._facts_at(state.step))
        self.saved_step = state.step
        stalled = time.perf_counter() - begin
        self.stalled_seconds += stalled
        self._losses[state.step] = facts.get(VALIDATION_LOSS)
        if self.model.engine.is_chief:
            self._writer.start(lambda: self._write(state, facts, stalled))

    def _write(self, state: Snapshot, facts: Mapping[str, Any], stalled: float) -> None:
        """In the background."""
        begin = time.perf_counter()
        self._metrics.sync()
        path = checkpoints.write(self._root, state, facts, self._keep)
        seconds = time.perf_counter() - begin
        console.say(
            f"step {state.step}: {path.name} written in {seconds:.2f} s beside training, which"
            f" waited {stalled:.3f} s"
        )

    def _is_among_the_best(self, step: int) -> bool:
        if not self._keep.best or self._facts_at(step).get(VALIDATION_LOSS) is None:
            return False
        losses = {**self._losses, step: self._facts_at(step)[VALIDATION_LOSS]}
        return step in keeping.ranked(losses)[: self._keep.best]


def keep_of(settings: config.Training) -> Keep:
    """Which checkpoints a run keeps."""
    return Keep(
        last=settings.keep_checkpoints,
        every_steps=settings.keep_every_steps,
        best=settings.keep_best,
        return_every_steps=(
            settings.checkpoint_every_steps if settings.divergence.rolls_back else None
        ),
    )
