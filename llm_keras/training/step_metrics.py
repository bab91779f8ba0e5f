"""What a step says of itself: in metrics.jsonl and beside the progress bar."""
# ruff: noqa: ARG002 - Keras hands its arguments over by name.

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple, Protocol

from llm_keras import console
from llm_keras.console import Progress
from llm_keras.training.callbacks import Logs, StepCallback
from llm_keras.training.json_lines import JsonLines, float32
from llm_keras.training.utilization import Utilization, device_bytes, process_bytes

#: Logs that only some models and precisions have.
OPTIONAL = ("router_loss", "dropped_fraction", "loss_scale")
#: What depends on the clock and the machine: all else is the same when a run is repeated.
BY_THE_CLOCK = (
    "tokens_per_second",
    "seconds",
    "input_seconds",
    "model_flops_utilization",
    "remaining_seconds",
    "process_bytes",
    "device_bytes",
)
#: Steps whose mean is shown, and the share of their time that may be spent waiting for rows.
WINDOW_STEPS, MOST_WAITING = 50, 0.1


class Notes(Protocol):
    """Somebody who has something to say about the last step."""

    notes: dict[str, str | int]


class Took(NamedTuple):
    """A step, by the clock."""

    tokens: float
    seconds: float
    waited: float


class StepMetrics(StepCallback):
    """Writes a line of metrics.jsonl a step, and shows how far the training is.

    `tokens` are predictions of the step. `seconds` are its own, without validation and saving, and
    `input_seconds` those of them that it waited for rows; `tokens_per_second` and
    `model_flops_utilization` are of the former. A process's first step is slow, because it traces
    the graph: the means that are shown leave it out, and so does `remaining_seconds`, which counts
    everything else that happens. `process_bytes` is the memory of the process now, `device_bytes`
    the most that a GPU has had in use. With experts there are also `router_loss` and
    `dropped_fraction`; in float16 `loss_scale`, and `overflowed` at a step that was skipped for it.

    Args:
        lines: metrics.jsonl.
        progress: Bar or log.
        more: Whose notes stand in the line too; see `divergence.Watch`.
        utilization: What steps cost; None: nobody knows.
        total_steps: The last one; None: nobody knows.

    Attributes:
        fields: The last line.
    """

    def __init__(
        self,
        lines: JsonLines,
        progress: Progress,
        more: Notes | None = None,
        utilization: Utilization | None = None,
        total_steps: int | None = None,
    ) -> None:
        super().__init__()
        self._lines, self._progress, self._more = lines, progress, more
        self._utilization, self._total_steps = utilization, total_steps
        self._last: deque[Took] = deque(maxlen=WINDOW_STEPS)
        self._first: tuple[int, float] | None = None
        self._skipped, self._overflows, self._warned = 0, 0, False
        self.fields: dict[str, Any] = {}

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Starts the clock of a step."""
        self._begin = time.perf_counter()

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Stops it and notes the step's figures."""
        now = time.perf_counter()
        took = Took(logs["tokens"], now - self._begin, self.model.input_seconds)
        if self._first is None:
            self._first = (step, now)
        else:
            self._last.append(took)
        self.fields = {
            "step": step,
            "loss": float32(logs["loss"]),
            "tokens": round(took.tokens),
            "tokens_per_second": round(took.tokens / took.seconds, 1),
            "learning_rate": float32(logs["learning_rate"]),
            "grad_norm": float32(logs["grad_norm"]),
            **{name: float32(logs[name]) for name in OPTIONAL if name in logs},
            **({"overflowed": True} if logs.get("overflowed") else {}),
            **(self._more.notes if self._more else {}),
            **self._costs(step, now, took),
        }
        self._lines.append(**self.fields)
        self._overflows += bool(logs.get("overflowed"))
        self._skipped += not logs.get("applied", 1.0) and not logs.get("overflowed")
        self._progress.update(step, loss=logs["loss"], **self._shown())
        self._warn_of_waiting(step)

    def _costs(self, step: int, now: float, took: Took) -> dict[str, float]:
        """What the step took, of what there is."""
        costs: dict[str, float | None] = {
            "seconds": round(took.seconds, 6),
            "input_seconds": round(took.waited, 6),
            "process_bytes": process_bytes(),
            "device_bytes": device_bytes(),
        }
        if self._utilization is not None:
            costs["model_flops_utilization"] = float(f"{self._utilization.of(took.seconds):.4g}")
        assert self._first is not None  # set before
        first, then = self._first
        if self._total_steps is not None and step > first:
            each = (now - then) / (step - first)
            costs["remaining_seconds"] = round((self._total_steps - step) * each, 1)
        return {name: cost for name, cost in costs.items() if cost is not None}

    def _shown(self) -> dict[str, float | str]:
        """Means over the last steps, for a person."""
        seconds = sum(took.seconds for took in self._last)
        tokens = sum(took.tokens for took in self._last)
        shown: dict[str, float | str] = {}
        if seconds:
            shown["tokens_per_second"] = round(tokens / seconds)
        if self._utilization is not None and seconds:
            shown["utilization"] = f"{self._utilization.of(seconds / len(self._last)):.0%}"
        if (used := self.fields.get("device_bytes", self.fields.get("process_bytes"))) is not None:
            shown["memory"] = f"{used / 1e9:.3g} GB"
        if seconds and self._waiting > MOST_WAITING:
            shown["waiting"] = f"{self._waiting:.0%}"
        counts = {"skipped": self._skipped, "overflows": self._overflows}
        return shown | {name: count for name, count in counts.items() if count}

    @property
    def _waiting(self) -> float:
        """Share of the last steps' time that they waited for rows."""
        return sum(took.waited for took in self._last) / sum(took.seconds for took in self._last)

    def _warn_of_waiting(self, step: int) -> None:
        if self._warned or len(self._last) < WINDOW_STEPS or self._waiting <= MOST_WAITING:
            return
        self._warned = True
        console.warn(
            f"step {step}: the last {WINDOW_STEPS} steps waited for rows {self._waiting:.0%} of"
            " their time; put the run's folder on a faster disk, leave more of the CPU to this"
            " process, or give a step more to do (training.global_batch_size)"
        )
