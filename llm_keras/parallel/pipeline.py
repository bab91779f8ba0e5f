"""Pipeline parallelism: stages of a model that work on several micro-batches at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from llm_keras.errors import UserError
from llm_keras.parallel import schedules
from llm_keras.parallel.engine import Batch, Carry, Learner
from llm_keras.parallel.placed import Placed, cut_batch
from llm_keras.parallel.schedules import Task
from llm_keras.parallel.stages import Stage


class Pipeline(Placed):
    """Stages as `Placed` has them, with micro-batches that follow each other through them.

    A stage keeps of a micro-batch in flight only what went in, and makes the rest again when the
    gradient comes back. Each stage can have several replicas, which take different rows: the
    weights and slots are those of the first one, the others get a copy a step, and all send their
    gradients there. That is as much traffic as an all-reduce, and replicas cannot drift apart.

    Args:
        devices: By stage, one for each replica.
        schedule: A key of `schedules.ORDERS`.
        rows: See `Placed`.
        slots: See `Placed`.

    References:
        Huang et al. 2019, section 2; Narayanan et al. 2021, section 2.2.1.
    """

    def __init__(
        self,
        devices: Sequence[Sequence[str]],
        schedule: str = "1f1b",
        rows: int = 1,
        slots: float = 2.0,
    ) -> None:
        super().__init__([replicas[0] for replicas in devices], rows, slots)
        self.replicas = [list(stages) for stages in zip(*devices, strict=True)]
        self.orders = schedules.ORDERS[schedule]
        #: Traced functions; TensorFlow may still call one whose Python object is gone.
        self._workers: list[Worker] = []

    def _in_flight(self, micro_batches: int) -> list[int]:
        return schedules.in_flight(self.orders(len(self.devices), micro_batches))

    def sums(self, learner: Learner, batch: Batch, micro_batches: int) -> Any:
        """All micro-batches of all replicas, in the schedule's order."""
        count = len(self.replicas)
        rows = batch["tokens"].shape[0]
        if rows is None or rows % (count * micro_batches):
            raise UserError(
                f"a batch of {rows} rows cannot be cut into {count} data x {micro_batches}"
                " gradient_accumulation_steps equal micro-batches; change one of them"
            )
        row = schedules.in_one_row(self.orders(len(self.stages), micro_batches))
        parts, found, last = cut_batch(batch, count * micro_batches), [], []
        for number, devices in enumerate(self.replicas):
            mine = parts[number * micro_batches : (number + 1) * micro_batches]
            workers = [
                Worker(learner, stage, device, place == len(devices) - 1)
                for place, (stage, device) in enumerate(zip(self.stages, devices, strict=True))
            ]
            self._workers += workers
            _work(workers, mine, row)
            found += [(worker.trained, worker.gradients) for worker in workers]
            last.append(workers[-1].sums)
        gradients = self._homeward(learner, found)
        with self._together():
            scalars = [
                tf.add_n(list(each)) for each in zip(*(sums[1:] for sums in last), strict=True)
            ]
        return type(last[0])(gradients, *scalars)

    def cross_entropy(self, learner: Learner, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Each replica judges its rows."""
        parts = cut_batch(batch, len(self.replicas))
        judged = []
        for devices, part in zip(self.replicas, parts, strict=True):
            with self._on(devices):
                judged.append(learner.cross_entropy(part))
        with self._together():
            loss, tokens = (tf.add_n(list(each)) for each in zip(*judged, strict=True))
        return loss, tokens

    @contextmanager
    def _on(self, devices: Sequence[str]) -> Iterator[None]:
        """Lets `run` use other devices than the first replica's."""
        first, self.devices = self.devices, list(devices)
        try:
            yield
        finally:
            self.devices = first


def _work(workers: Sequence[Worker], batches: Sequence[Batch], row: Sequence[Task]) -> None:
    """Writes down all tasks of a replica."""
    made: dict[tuple[int, int], Carry] = {}
    back: dict[tuple[int, int], Carry] = {}
    for kind, stage, number in row:
        carry = made[stage - 1, number] if stage else {}
        if kind == "forward":
            made[stage, number] = workers[stage].forward(carry, batches[number])
        else:
            by_outputs = back.pop((stage + 1, number), {})
            back[stage, number] = workers[stage].backward(carry, batches[number], by_outputs)


class Worker:
    """A stage on a device, in one step.

    Its tasks are calls of functions that TensorFlow keeps whole, each after the one before: the
    order in which they are written down is the order in which they run. Otherwise TensorFlow would
    begin whatever is ready, and keep more micro-batches than the schedule says.

    Args:
        learner: Whose arithmetic it is.
        stage: Its parts of the model.
        device: Where they are computed.
        is_last: Whether the loss is among them.

    Attributes:
        sums: What came out: the sums of the last stage, gradients of the others.
    """

    def __init__(self, learner: Learner, stage: Stage, device: str, is_last: bool) -> None:
        self.learner, self.where, self.device, self.is_last = learner, stage.parts, device, is_last
        self.trained = learner.trained(stage.parts)
        read = {id(v): v for _, some in learner.parts()[stage.parts] for v in some}
        self.variables = list(read.values())
        self.values = [_copy(variable, device) for variable in self.variables]
        self.sums: Any = None
        self._forward = _whole(self._run_forward)
        self._backward = _whole(self._run_backward)
        self._add = _whole(lambda sums, more: tf.nest.map_structure(tf.add, sums, more))
        self._before: list[tf.Operation] = []

    @property
    def gradients(self) -> list[tf.Tensor]:
        """Of `trained`, summed over the micro-batches."""
        return self.sums.gradients if self.is_last else self.sums

    def forward(self, carry: Carry, batch: Batch) -> Carry:
        """A micro-batch to the next stage."""
        return self._next(self._forward, batch, carry)

    def backward(self, carry: Carry, batch: Batch, by_outputs: Carry) -> Carry:
        """A micro-batch's gradient to the stage before."""
        by_carry, sums = self._next(self._backward, batch, carry, by_outputs)
        with tf.device(self.device):
            self.sums = sums if self.sums is None else self._add(self.sums, sums)
        self._finish(self.sums)
        return by_carry

    def _next(self, function: Callable[..., Any], batch: Batch, *inputs: Any) -> Any:
        """A task, after the one before it."""
        with tf.device(self.device):
            with tf.control_dependencies(self._before):
                batch = {name: tf.identity(value) for name, value in batch.items()}
            results = function(self.values, batch, *inputs)
        self._finish(results)
        return results

    def _finish(self, results: Any) -> None:
        with tf.device(self.device), tf.control_dependencies(tf.nest.flatten(results)):
            self._before = [tf.no_op()]

    def _run_forward(self, values: list[tf.Tensor], batch: Batch, carry: Carry) -> Carry:
        with self._reading(values):
            return self.learner.forward(self.where, carry, batch)

    def _run_backward(
        self, values: list[tf.Tensor], batch: Batch, carry: Carry, by_outputs: Carry
    ) -> tuple[Carry, Any]:
        with self._reading(values):
            if self.is_last:
                return self.learner.finish(self.where, carry, batch)
            _, pull = self.learner.through(self.where, carry, batch)
            return pull(by_outputs)

    @contextmanager
    def _reading(self, values: Sequence[tf.Tensor]) -> Iterator[None]:
        """Lets layers read these instead of their variables."""
        pairs = zip(self.variables, values, strict=True)
        with tf.device(self.device), keras.StatelessScope(list(pairs)):
            yield


def _copy(variable: keras.Variable, device: str) -> tf.Tensor:
    """A variable's value on a device; no copy where it lives."""
    with tf.device(variable.value.device):
        value = tf.convert_to_tensor(variable.value)
    with tf.device(device):
        return tf.identity(value)


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is called as one operation, and not dissolved into the step's graph."""
    traced: Callable[..., Any] = tf.function(
        function, autograph=False, experimental_attributes={"_noinline": True}
    )
    return traced
