"""Steps that would spoil the weights: what is done about them, so that it can be repeated.

A step is bad if its loss or gradient is not finite, or if its loss is a spike. The compiled step
finds that out by itself, and leaves everything but the count of updates as it was: the batch is
spent, and the next step has the next rows, the next learning rate and the next dropout masks, as
if nothing had happened. So the order of rows stays a function of (seed, step), and a step number
stands for the same rows in every run.

What a run does about a bad step is a function of its losses, and of the regular checkpoints before
it; what it must remember of them is saved with every checkpoint.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras import config, console
from llm_keras.config.divergence import Action
from llm_keras.errors import DivergedError
from llm_keras.training import checkpoint_files, checkpoints
from llm_keras.training.background import BackgroundWriter
from llm_keras.training.callbacks import Logs, StepCallback
from llm_keras.training.checkpoint_files import Checkpoint, DamagedError
from llm_keras.training.json_lines import float32
from llm_keras.training.trainer import REMEDY

#: First and last step of a stretch whose updates are not in the weights.
Stretch = tuple[int, int]


class History:
    """What decides about the next step.

    Attributes:
        losses: Of the last good steps, as many as a spike is measured by.
        in_a_row: Bad steps since a good one, or, where the policy is to roll back, since a regular
            checkpoint after a good one: good steps in between are lost with each return.
        skipped: Stretches of steps that are not in the weights, ascending.
    """

    def __init__(self, settings: config.Divergence) -> None:
        self._factor = settings.spike_factor
        self.losses: deque[float] = deque(maxlen=settings.spike_window_steps)
        self.in_a_row = 0
        self.skipped: list[Stretch] = []

    @property
    def limit(self) -> float:
        """A loss above it is a spike."""
        if self._factor is None or len(self.losses) < (self.losses.maxlen or 0):
            return math.inf
        return self._factor * statistics.median(self.losses)

    def skip(self, first: int, last: int) -> None:
        """Notes that steps `first` to `last` are not in the weights."""
        before = [stretch for stretch in self.skipped if stretch[0] < first]
        if before and before[-1][1] >= first - 1:
            first = before.pop()[0]
        self.skipped = [*before, (first, last)]

    def to_json(self) -> dict[str, Any]:
        """For the manifest of a checkpoint."""
        losses = list(self.losses) if self._factor else []
        return {"skipped": list(self.skipped), "in_a_row": self.in_a_row, "losses": losses}

    def take(self, saved: Mapping[str, Any]) -> None:
        """Goes on from what a checkpoint says."""
        self.losses.extend(saved["losses"])
        self.in_a_row = saved["in_a_row"]
        self.skipped = [(first, last) for first, last in saved["skipped"]]


class Watch(StepCallback):
    """Looks at every step, and does about bad ones what the run file says.

    It comes before the other callbacks: these see the state that training goes on from.

    Args:
        settings: Section `training` of the run.
        root: Folder of the checkpoints.
        writer: Who may still be writing the one to roll back to.
        saved: What the checkpoint that training goes on from says, if it says something.

    Attributes:
        history: What decides about the next step.
        notes: What metrics.jsonl says of the last step besides: `skipped`, why it was not applied,
            and `rolled_back_to`, the step whose state came back.
    """

    def __init__(
        self,
        settings: config.Training,
        root: Path,
        writer: BackgroundWriter,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._policy, self._every = settings.divergence, settings.checkpoint_every_steps
        self._root, self._writer = root, writer
        self.history = History(settings.divergence)
        self.notes: dict[str, str | int] = {}
        if saved:
            self.history.take(saved)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Tells the step what a spike is."""
        super().on_train_begin(logs)
        self._set_limit()

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Judges the step by its logs.

        Raises:
            DivergedError: The run file says stop, or there were too many bad steps.
        """
        self.notes = {}
        if logs.get("overflowed"):
            return  # The loss scale has seen to it.
        if logs.get("applied", 1.0):
            self.history.losses.append(float32(logs["loss"]) or 0.0)  # finite, as it was applied
            rolled_back = self.history.in_a_row and self._policy.rolls_back
            if not rolled_back or step % self._every == 0:
                self.history.in_a_row = 0
        else:
            self._decide(step, logs)
        self._set_limit()

    def _decide(self, step: int, logs: Logs) -> None:
        finite = math.isfinite(logs["loss"]) and math.isfinite(logs["grad_norm"])
        reason = "spike" if finite else "not finite"
        action: Action = self._policy.on_spike if finite else self._policy.on_nan
        told = _told(step, logs, self.history.limit if finite else None)
        if action == "stop":
            raise DivergedError(f"{told}; the update was not applied. {REMEDY}")
        self.history.in_a_row += 1
        if self.history.in_a_row >= self._policy.max_in_a_row:
            raise DivergedError(
                f"{told}, and it is number {self.history.in_a_row} in a row, where"
                f" training.divergence.max_in_a_row is {self._policy.max_in_a_row}. {REMEDY}"
            )
        self.notes["skipped"] = reason
        first = step
        if action == "roll_back" and (checkpoint := self._newest_before(step)) is not None:
            checkpoints.restore(checkpoint, self.model)
            iterations = self.model.optimizer.iterations
            self.model.engine.assign(iterations, np.asarray(step, iterations.dtype))
            self.notes["rolled_back_to"] = checkpoint.step
            first = checkpoint.step + 1
        self.history.skip(first, step)
        steps = f"step {step} is" if first == step else f"steps {first} to {step} are"
        console.warn(f"{told}; {steps} skipped")

    def _newest_before(self, step: int) -> Checkpoint | None:
        """The newest regular one, since others depend on when somebody stopped the run.

        Not the imported weights, which have no slots: before a first checkpoint there is none. The
        chief, who writes them, knows it for all processes.
        """
        engine = self.model.engine
        found = self._intact_before(step) if engine.is_chief else None
        chosen = engine.from_chief(found.step if found else 0)
        if engine.is_chief or not chosen:
            return found
        return checkpoint_files.verify(checkpoint_files.folder_of(self._root, chosen))

    def _intact_before(self, step: int) -> Checkpoint | None:
        self._writer.wait()
        for saved in checkpoint_files.steps(self._root):
            if 0 < saved < step and saved % self._every == 0:
                path = checkpoint_files.folder_of(self._root, saved)
                try:
                    return checkpoint_files.verify(path)
                except DamagedError as error:
                    console.warn(f"{path}: {error}; rolling back further")
        return None

    def _set_limit(self) -> None:
        if self._policy.spike_factor is not None:
            limit = np.float32(self.history.limit)
            self.model.engine.assign(self.model.loss_limit, limit)


def _told(step: int, logs: Logs, limit: float | None) -> str:
    if limit is None:
        return f"step {step}: the loss or its gradient is not a finite number"
    return f"step {step}: the loss {logs['loss']:.4g} is a spike, more than {limit:.4g}"
