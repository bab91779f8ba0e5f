"""What happens between the updates of a run: figures and validation."""
# ruff: noqa: ARG002 - Keras hands its arguments over by name.

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import tensorflow as tf

from llm_keras import config, console
from llm_keras.training.json_lines import JsonLines, float32
from llm_keras.training.stopping import StopRequest

Logs = Mapping[str, float]


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


class Stop(StepCallback):
    """Finds out after every step whether a process of the run was asked to stop.

    Args:
        stop: What the other callbacks look at.
    """

    def __init__(self, stop: StopRequest) -> None:
        super().__init__()
        self._stop = stop

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Asks all processes."""
        self._stop.agree()


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
        self.model.stop_evaluating = self._stop.agree()
