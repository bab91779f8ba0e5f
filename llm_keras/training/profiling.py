"""A trace of some steps, to see where their time goes."""
# ruff: noqa: ARG002 - Keras hands its arguments over by name.

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from llm_keras import console
from llm_keras.training.callbacks import Logs, StepCallback


class Profile(StepCallback):
    """Traces steps `first` to `last` of a run; of those that this process takes.

    Args:
        folder: Where the trace goes.
        first: A step.
        last: A step.
    """

    def __init__(self, folder: Path, first: int, last: int) -> None:
        super().__init__()
        self._folder, self._first, self._last = folder, first, last
        self._began: int | None = None

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Starts in time."""
        if self._began is None and self._first <= self.step + 1 <= self._last:
            tf.profiler.experimental.start(str(self._folder))
            self._began = self.step + 1

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Ends in time."""
        if step >= self._last:
            self._end()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Ends if training does."""
        self._end()

    def _end(self) -> None:
        if self._began is None:
            return
        tf.profiler.experimental.stop()
        console.say(
            f"profile: steps {self._began} to {self.step} are in {self._folder}; look at them with"
            f" `tensorboard --logdir {self._folder}` (pip install tensorboard-plugin-profile)"
        )
        self._began = None
