"""What happens between the updates of a run: figures and validation."""
# ruff: noqa: ARG002 - Keras hands its arguments over by name.

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Protocol

import keras
import tensorflow as tf

from llm_keras import config, console
from llm_keras.console import Progress
from llm_keras.training.json_lines import JsonLines, float32
from llm_keras.training.stopping import StopRequest

Logs = Mapping[str, float]
#: What a step of a model with experts says besides.
OF_EXPERTS = ("router_loss", "dropped_fraction")


class StepCallback(keras.callbacks.Callback):
    """A callback that counts updates from the run's start, not batches from the epoch's.

    Subclasses override `on_step_end(step, logs)`.
    """

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Takes up the count where the optimizer stands."""
        self.step = self.model.step

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """One update was applied."""
        self.step += 1
        self.on_step_end(self.step, logs or {})

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Called after update `step`, the first being 1."""


class Notes(Protocol):
    """Somebody who has something to say about the last step."""

    notes: dict[str, str | int]


class StepMetrics(StepCallback):
    """Writes a line of metrics.jsonl a step, and shows how far the training is.

    `tokens` are predictions of the step, and `tokens_per_second` is its own speed, without
    validation and saving. A process's first step is slow, because it traces the graph; the mean
    speed that is shown leaves it out. With experts a line has `router_loss` and `dropped_fraction`
    too.

    Args:
        lines: metrics.jsonl.
        progress: Bar or log.
        more: Whose notes stand in the line too; see `divergence.Watch`.
    """

    def __init__(self, lines: JsonLines, progress: Progress, more: Notes | None = None) -> None:
        super().__init__()
        self._lines, self._progress, self._more = lines, progress, more
        self._skipped = 0
        self._tokens, self._seconds, self._traced = 0.0, 0.0, False

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Starts the clock of a step."""
        self._begin = time.perf_counter()

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Stops it and notes the step's figures."""
        seconds = time.perf_counter() - self._begin
        self._lines.append(
            step=step,
            loss=float32(logs["loss"]),
            tokens=round(logs["tokens"]),
            tokens_per_second=round(logs["tokens"] / seconds, 1),
            learning_rate=float32(logs["learning_rate"]),
            grad_norm=float32(logs["grad_norm"]),
            **{name: float32(logs[name]) for name in OF_EXPERTS if name in logs},
            **(self._more.notes if self._more else {}),
        )
        if self._traced:
            self._tokens += logs["tokens"]
            self._seconds += seconds
        self._traced = True
        speed = self._tokens / self._seconds if self._seconds else 0.0
        self._skipped += not logs.get("applied", 1.0)
        skipped = {"skipped": self._skipped} if self._skipped else {}
        self._progress.update(step, loss=logs["loss"], tokens_per_second=round(speed), **skipped)


class Validation(StepCallback):
    """Measures the cross-entropy on held-out rows every so many steps, and after the last.

    Args:
        rows: Finite dataset.
        lines: validation.jsonl, one `step, loss, tokens` a measurement.
        settings: Section `training` of the run.
        stop: A measurement is given up when somebody asks to stop, and made up for on resume.
    """

    def __init__(
        self,
        rows: tf.data.Dataset,
        lines: JsonLines,
        settings: config.Training,
        stop: StopRequest,
    ) -> None:
        super().__init__()
        self._rows, self._lines, self._stop = rows, lines, stop
        self._losses: dict[int, float | None] = {}
        self._every, self._last = settings.validate_every_steps, settings.total_steps

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Makes up for a measurement that a kill prevented after its step was saved."""
        super().on_train_begin(logs)
        if self.step > self._lines.last_step:
            self.on_step_end(self.step, {})

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Measures if it is time."""
        if step == 0 or (step % self._every and step != self._last):
            return
        interrupt = keras.callbacks.LambdaCallback(on_test_batch_begin=self._interrupt)
        logs = self.model.evaluate(self._rows, callbacks=[interrupt], return_dict=True, verbose=0)
        if self._stop:
            return
        self._losses = {step: float32(logs["loss"])}
        self._lines.append(step=step, loss=self._losses[step], tokens=round(logs["tokens"]))
        self._lines.flush()
        perplexity = math.exp(min(logs["loss"], 700))
        console.say(f"step {step}: validation loss {logs['loss']:.4f}, perplexity {perplexity:.4g}")

    def loss_at(self, step: int) -> float | None:
        """The last loss, if it is of this step."""
        return self._losses.get(step)

    def _interrupt(self, batch: int, logs: Logs | None = None) -> None:
        self.model.stop_evaluating = bool(self._stop)
