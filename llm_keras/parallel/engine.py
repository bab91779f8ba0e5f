"""What stands between a step of training and the devices it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

Batch = dict[str, tf.Tensor]
Logs = dict[str, tf.Tensor]
#: What a step does with one batch.
Step = Callable[[Batch], Logs]
#: What a part of a model makes for the next.
Carry = dict[str, tf.Tensor]
Pull = Callable[[Carry], tuple[Carry, list[tf.Tensor]]]


class Learner(Protocol):
    """The arithmetic of a model's gradient, whatever the devices; see `training.gradients`."""

    def accumulate(self, batch: Batch, micro_batches: int) -> Any:
        """Sums over a batch, one micro-batch at a time: a nest of tensors."""

    def cross_entropy(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """The sum over the predictions of a batch, and their number."""

    # The model as a chain of parts, of which `where` chooses neighbours

    def parts(self) -> Sequence[tuple[str, Sequence[keras.Variable]]]:
        """Names of all parts, and variables that they read."""

    def trained(self, where: slice) -> Sequence[keras.Variable]:
        """What is learnt of some parts."""

    def run(self, where: slice, carry: Carry, inputs: Batch) -> Carry:
        """Makes of what the part before made, and of the inputs, what the next one needs."""

    def forward(self, where: slice, carry: Carry, batch: Batch) -> Carry:
        """The same for training."""

    def through(self, where: slice, carry: Carry, batch: Batch) -> tuple[Carry, Pull]:
        """The same with a function of its gradient: to that by `carry`, and those of `trained`."""

    def finish(self, where: slice, carry: Carry, batch: Batch) -> tuple[Carry, Any]:
        """From the last parts to the loss and back: the gradient by `carry`, and the sums."""

    # For planning

    def shapes(self, rows: int) -> dict[str, tf.TensorSpec]:
        """What a batch of so many rows is made of."""

    def loss_bytes(self, rows: int) -> int:
        """What is held of the loss of such a batch."""


class Engine:
    """One device. Subclasses spread variables and arithmetic over several.

    An engine is made before the model. The model is built under `scope`; `place_weights` then puts
    its variables where they belong, and `place_optimizer` the optimizer's, which must be built
    after the former. From there on a variable's whole value is read and set by `value` and
    `assign`, and steps are called by `call`.

    Attributes:
        part: Which part of every global batch this process reads, in [0, parts).
        parts: Processes that share a batch.
        is_chief: Whether this process is the one that writes files and speaks.
        whole_logits: Whether the logits of all tokens are made at once, since they lie in pieces
            on several devices; nothing is then looked up in them by its number.
        loops: Whether the graph may hold micro-batches as a loop, not one after the other.
        fuses: Whether XLA may compile chains of elementwise arithmetic, see `llm_keras.fusion`.
    """

    part = 0
    parts = 1
    is_chief = True
    whole_logits = False
    loops = True
    fuses = False

    def scope(self) -> AbstractContextManager[Any]:
        """Under which models, optimizers and metrics are made."""
        return nullcontext()

    def plan(self, learner: Learner, micro_batches: int) -> None:
        """Told what it will train, in how many micro-batches a step; before `place_weights`."""

    def place_weights(self, variables: Sequence[keras.Variable]) -> None:
        """Puts a model's variables where they belong."""

    def place_optimizer(
        self, optimizer: keras.Optimizer, variables: Sequence[keras.Variable]
    ) -> None:
        """Puts the slots of trained variables beside these; builds the optimizer if need be."""
        if not optimizer.built:
            optimizer.build(list(variables))

    def place_averages(
        self, averages: Sequence[keras.Variable], variables: Sequence[keras.Variable]
    ) -> None:
        """Puts running means beside what they are means of."""

    def place_state(self, variables: Sequence[keras.Variable]) -> None:
        """Puts what else a step reads and writes on all devices."""

    def together(self) -> AbstractContextManager[Any]:
        """What the processes of a run do together; see `MultiWorker.together`."""
        return nullcontext()

    def sum_over_processes(self, number: int) -> int:
        """The sum of what all processes give, which call it at the same point, not in a step."""
        return number

    def any_process(self, flag: bool) -> bool:
        """Whether any process says so; to be called as `sum_over_processes`."""
        return self.sum_over_processes(int(flag)) > 0

    def from_chief(self, number: int) -> int:
        """What the chief says, to all; to be called as `sum_over_processes`."""
        return self.sum_over_processes(number if self.is_chief else 0)

    def lost(self, error: tf.errors.OpError) -> bool:
        """Whether an error says that another process has ended, and this one's state is whole."""
        del error
        return False

    def dataset(self, make: Callable[[int, int], tf.data.Dataset]) -> Any:
        """What `fit` is given, from a function of `part` and `parts`."""
        return make(self.part, self.parts)

    def spread(self, step: Step) -> Step:
        """The step as a function of what the dataset gives; to be traced."""
        return step

    def call(self, function: Step, batch: Batch) -> Logs:
        """Calls a spread step, traced or not, with what the dataset gave."""
        return function(batch)

    def sums(self, learner: Learner, batch: Batch, micro_batches: int) -> Any:
        """`Learner.accumulate` over the batches of all devices, in a step."""
        return learner.accumulate(batch, micro_batches)

    def run(self, learner: Learner, inputs: Batch, finish: Callable[[Carry], Any]) -> Any:
        """The whole model without training, and `finish` where its last part is."""
        return finish(learner.run(slice(None), {}, inputs))

    def cross_entropy(self, learner: Learner, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """`Learner.cross_entropy` of this device's rows, in a step."""
        return learner.cross_entropy(batch)

    def each(self, function: Callable[..., Any], *by_variable: Sequence[Any]) -> list[Any]:
        """Applies it to what belongs to each trained variable, in order; where that variable is."""
        return [function(*those) for those in zip(*by_variable, strict=True)]

    def micro_batches(self, batch: Batch, number: int) -> Batch:
        """Cuts a step's batch [B, ...] into equal ones [number, B / number, ...]."""
        return {
            name: tf.reshape(value, [number, -1, *value.shape[1:]]) for name, value in batch.items()
        }

    def place_gradients(
        self, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
    ) -> list[tf.Tensor]:
        """Puts the gradients of a micro-batch where they are summed up."""
        del variables
        return list(gradients)

    def sum(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Sums over the devices that have different rows, in a step; every device gets them."""
        return list(tensors)

    def global_norm(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """The Euclidean norm of all gradients together, float32 scalar, in a step."""
        return tf.linalg.global_norm(gradients)

    def apply(
        self,
        optimizer: keras.Optimizer,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        """One update with gradients that are summed over all devices already, in a step."""
        optimizer.apply(gradients, variables)

    def require(self, good: tf.Tensor, message: str) -> list[Any]:
        """Ends a step with an InvalidArgumentError of that message unless a scalar is true.

        Returns:
            What an update must wait for.
        """
        return [tf.debugging.Assert(good, [message])]

    def update_if(
        self,
        good: tf.Tensor,
        update: Callable[[], None],
        optimizer: keras.Optimizer,
        variables: Sequence[keras.Variable],
    ) -> None:
        """Calls `update` in a step, unless it is not `good`; counts the update in both cases.

        Args:
            good: bool scalar, the same on all devices.
            update: Calls `apply`, among others.
            optimizer: Whose `iterations` count.
            variables: What else `update` changes.
        """
        del variables

        def apply() -> tf.Tensor:
            update()
            return tf.constant(0)

        def count() -> tf.Tensor:
            optimizer.iterations.assign_add(1)
            return tf.constant(0)

        tf.cond(good, apply, count)

    def first_row(self, rows: tf.Tensor) -> tf.Tensor | int:
        """The place in the global batch of this device's first of `rows`, in a step."""
        del rows
        return 0

    def value(self, variable: keras.Variable) -> np.ndarray:
        """The whole of a variable, on the host."""
        return np.asarray(variable.value.numpy())

    def assign(self, variable: keras.Variable, value: np.ndarray) -> None:
        """Sets the whole of a variable."""
        variable.assign(value)

    def held(self, variables: Sequence[keras.Variable]) -> dict[str, int]:
        """Bytes of variables on each device, read from the live ones: what was done, not asked."""
        bytes_on: dict[str, int] = {}
        for variable in variables:
            for piece in self.pieces(variable):
                device = piece.device.rpartition("/device:")[2]
                size = piece.shape.num_elements() * piece.dtype.size
                bytes_on[device] = bytes_on.get(device, 0) + size
        return bytes_on

    def report(
        self, weights: Sequence[keras.Variable], slots: Sequence[keras.Variable]
    ) -> Iterator[str]:
        """What a user should know of the placement, line by line."""
        del weights, slots
        return iter(())

    def pieces(self, variable: keras.Variable) -> list[Any]:
        """A variable's parts or copies: tensors or TensorFlow variables, each on its device."""
        return [variable.value]
