"""Curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from llm_keras.training.callbacks import Logs, StepCallback
from llm_keras.training.step_metrics import StepMetrics

#: What is drawn of a step, and where.
GROUPS = {
    "loss": "train",
    "grad_norm": "train",
    "learning_rate": "train",
    "loss_scale": "train",
    "router_loss": "train",
    "dropped_fraction": "train",
    "tokens_per_second": "speed",
    "model_flops_utilization": "speed",
    "input_seconds": "speed",
    "process_bytes": "memory",
    "device_bytes": "memory",
}


class Curves(StepCallback):
    """Hands the figures of steps to `tf.summary`.

    Args:
        folder: Where TensorBoard finds them.
        metrics: Whose last line is drawn; it comes before.
        validation_loss_at: Step -> the loss on held-out rows, if there is one.
    """

    def __init__(
        self,
        folder: Path,
        metrics: StepMetrics,
        validation_loss_at: Callable[[int], float | None],
    ) -> None:
        super().__init__()
        self._folder, self._metrics = folder, metrics
        self._validation_loss_at = validation_loss_at

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens a file of this process's own."""
        super().on_train_begin(logs)
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Adds a point to each curve."""
        del logs
        points = {
            f"{group}/{name}": self._metrics.fields.get(name) for name, group in GROUPS.items()
        }
        points["validation/loss"] = self._validation_loss_at(step)
        # One operation for all: `tf.summary.scalar` takes half a millisecond for each.
        summary = tf.compat.v1.Summary()
        for name, value in points.items():
            if value is not None:
                summary.value.add(tag=name, simple_value=value)
        with self._writer.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Writes what is left."""
        del logs
        self._writer.close()
