"""Model parallelism: the parts of a model on several devices, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from llm_keras.parallel import costs, stages
from llm_keras.parallel.engine import Batch, Carry, Engine, Learner
from llm_keras.parallel.replicated import take_reduced_gradients
from llm_keras.parallel.stages import Stage


class Placed(Engine):
    """Cuts the model into stages of about equal bytes, each on a device of its own.

    A variable lives on the device of the first stage that reads it, with its gradient, its slots
    and its mean; it is updated there. Stages that read one of another device, such as a tied
    embedding, get a copy a step. One stage works at a time: this is for models that are too large
    for one device, and to be compared with pipelines.

    Args:
        devices: As many as stages, in order.
        rows: Of a micro-batch on a device, for the bytes of the plan.
        slots: Numbers that the optimizer, and a mean of the weights, keep of each weight; for the
            same.

    Attributes:
        stages: The plan, after `plan`.
    """

    def __init__(self, devices: Sequence[str], rows: int = 1, slots: float = 2.0) -> None:
        self.devices = list(devices)
        self.rows = rows
        self.slots = slots
        self.stages: list[Stage] = []
        self._homes: dict[int, str] = {}
        self._trained: list[str] = []

    # Placement

    def plan(self, learner: Learner, micro_batches: int) -> None:
        """Chooses the stages.

        Raises:
            UserError: There are more stages than parts.
        """
        measured = costs.measure(learner, self.rows)
        self.stages = stages.cut(measured, self._in_flight(micro_batches), self.slots)
        parts = learner.parts()
        for stage, device in zip(self.stages, self.devices, strict=True):
            for _, variables in parts[stage.parts]:
                for variable in variables:
                    self._homes.setdefault(id(variable), device)

    def place_weights(self, variables: Sequence[keras.Variable]) -> None:
        """Each to the device of its stage."""
        for variable in variables:
            self._put(variable, self._homes[id(variable)])

    def place_optimizer(
        self, optimizer: keras.Optimizer, variables: Sequence[keras.Variable]
    ) -> None:
        """Slots are made beside their variables; the optimizer's arithmetic goes there too."""
        super().place_optimizer(optimizer, variables)
        take_reduced_gradients(optimizer)  # or all of them go through one operation
        self._trained = [variable.value.device for variable in variables]
        stay_on_devices(optimizer, self)

    def place_averages(
        self, averages: Sequence[keras.Variable], variables: Sequence[keras.Variable]
    ) -> None:
        """Each mean beside its variable."""
        for average, variable in zip(averages, variables, strict=True):
            self._put(average, variable.value.device)

    def _put(self, variable: keras.Variable, device: str) -> None:
        value = variable.value.numpy()
        with tf.device(device):
            variable._value = tf.Variable(
                value, trainable=variable.trainable, name=variable.name, dtype=variable.dtype
            )

    def _in_flight(self, micro_batches: int) -> list[int]:
        """Micro-batches of which each stage keeps its input at once."""
        del micro_batches
        return [1] * len(self.devices)

    # The step

    def run(self, learner: Learner, inputs: Batch, finish: Callable[[Carry], Any]) -> Any:
        """From device to device."""
        carry: Carry = {}
        for stage, device in zip(self.stages, self.devices, strict=True):
            with tf.device(device):
                carry = learner.run(stage.parts, carry, inputs)
        with tf.device(self.devices[-1]):
            return finish(carry)

    def sums(self, learner: Learner, batch: Batch, micro_batches: int) -> Any:
        """One micro-batch after the other, through all stages and back."""
        total: Any = None
        for part in cut_batch(batch, micro_batches):
            before = [] if total is None else tf.nest.flatten(total)
            with tf.control_dependencies(before):  # Only one micro-batch is held at a time.
                held = {name: tf.identity(value) for name, value in part.items()}
            more = self._differentiate(learner, held)
            total = more if total is None else self._add(total, more)
        return total

    def _differentiate(self, learner: Learner, batch: Batch) -> Any:
        carry: Carry = {}
        pulls = []
        *before, last = zip(self.stages, self.devices, strict=True)
        for stage, device in before:
            with tf.device(device):
                carry, pull = learner.through(stage.parts, carry, batch)
                pulls.append((stage, device, pull))
        with tf.device(last[1]):
            by_carry, sums = learner.finish(last[0].parts, carry, batch)
        found = [(learner.trained(last[0].parts), sums.gradients)]
        for stage, device, pull in reversed(pulls):
            with tf.device(device):
                by_carry, gradients = pull(by_carry)
            found.append((learner.trained(stage.parts), gradients))
        return sums._replace(gradients=self._homeward(learner, found))

    def _homeward(
        self, learner: Learner, found: Sequence[tuple[Sequence[keras.Variable], Sequence[Any]]]
    ) -> list[tf.Tensor]:
        """The gradients of all trained variables, each summed where its variable is."""
        by_variable: dict[int, list[tf.Tensor]] = {}
        for variables, gradients in found:
            for variable, gradient in zip(variables, gradients, strict=True):
                by_variable.setdefault(id(variable), []).append(gradient)
        lists = [by_variable[id(v)] for v in learner.trained(slice(None))]
        return self.each(lambda parts: parts[0] if len(parts) == 1 else tf.add_n(parts), lists)

    def _add(self, sums: Any, more: Any) -> Any:
        """Sums of two micro-batches."""
        scalars = [a + b for a, b in zip(sums[1:], more[1:], strict=True)]
        return type(sums)(self.each(tf.add, sums.gradients, more.gradients), *scalars)

    def each(self, function: Callable[..., Any], *by_variable: Sequence[Any]) -> list[Any]:
        """On the device of each variable."""
        results = []
        for device, *those in zip(self._trained, *by_variable, strict=True):
            with tf.device(device):
                results.append(function(*those))
        return results

    def global_norm(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """Only a number leaves each device."""
        squares = self.each(lambda x: tf.reduce_sum(tf.square(x)), gradients)
        with self._together():
            return tf.sqrt(tf.add_n(squares))

    def update_if(
        self,
        good: tf.Tensor,
        update: Callable[[], None],
        optimizer: keras.Optimizer,
        variables: Sequence[keras.Variable],
    ) -> None:
        """Updates, and puts back what was: what goes into a branch goes through one device."""
        del optimizer
        before = []
        for variable in variables:
            with tf.device(variable.value.device):
                before.append(tf.identity(tf.convert_to_tensor(variable.value)))
        with tf.control_dependencies(before):
            update()
        for variable, earlier in zip(variables, before, strict=True):
            with tf.device(variable.value.device):
                now = tf.convert_to_tensor(variable.value)
                variable.assign(tf.where(good, now, earlier))

    def report(
        self, weights: Sequence[keras.Variable], slots: Sequence[keras.Variable]
    ) -> Iterator[str]:
        """The plan, and what live variables take on each device, in megabytes."""
        yield from stages.lines(self.stages)
        held = self.held(weights), self.held(slots)
        for device in self.devices:
            name = device.rpartition("/device:")[2]
            sizes = (f"{bytes_on.get(name, 0) / 1e6:10.2f}" for bytes_on in held)
            yield f"{name + ' holds':40}" + "".join(sizes)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Where numbers of all devices meet."""
        with tf.device(self.devices[0]):
            yield


def cut_batch(batch: Batch, number: int) -> list[Batch]:
    """Equal parts of a batch, by rows."""
    parts = {name: tf.split(value, number) for name, value in batch.items()}
    return [{name: pieces[i] for name, pieces in parts.items()} for i in range(number)]


def stay_on_devices(optimizer: keras.Optimizer, engine: Placed) -> None:
    """Lets a Keras optimizer work on each variable where that variable is.

    Keras computes on the first device, whatever device variables and slots are on: all weights,
    gradients and slots would go there and back in every step. There is no public switch; a test
    pins this one.
    """
    inner: Any = optimizer
    update, decay, clip = inner.update_step, inner._apply_weight_decay, inner._clip_gradients

    def update_there(gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        with tf.device(variable.device):
            update(gradient, variable, learning_rate)

    def decay_there(variables: Sequence[keras.Variable]) -> None:
        for variable in variables:
            with tf.device(variable.value.device):
                decay([variable])

    def clip_there(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        limit = inner.global_clipnorm
        if not limit:
            return engine.each(lambda gradient: clip([gradient])[0], gradients)
        norm = engine.global_norm(gradients)
        # As Keras: times 1 below the limit, and not a number where the norm is none.
        factor = limit * tf.minimum(1.0 / norm, 1.0 / limit) + (norm - norm)
        return engine.each(lambda gradient: gradient * factor, gradients)

    inner.update_step, inner._apply_weight_decay = update_there, decay_there
    inner._clip_gradients = clip_there
