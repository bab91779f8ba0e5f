"""Data, tensor and fully sharded parallelism on a mesh, by TensorFlow's DTensor.

A program for a mesh is written as for one device: its tensors are whole, and layouts say how they
lie in pieces. A step here is a transaction: every variable is read once, forward pass and optimizer
compute with tensors, and every variable that changed is written once. DTensor does not keep the
order of writes and reads, so that anything else would read what was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.experimental import dtensor

from llm_keras import config
from llm_keras.layers.placement import placed_by
from llm_keras.parallel import layout_tables, mesh
from llm_keras.parallel.cluster import Cluster
from llm_keras.parallel.engine import Batch, Logs, Step
from llm_keras.parallel.functional import make_functional
from llm_keras.parallel.layout_tables import Spec
from llm_keras.parallel.together import Together
from llm_keras.parallel.watchdog import Watchdog

#: Among the logs of a step: whether what it requires holds.
_GOOD = "required"


class OnMesh(Together):
    """A mesh of `data` x `model` devices.

    Args:
        devices: The mesh.
        shard_weights: What is cut over `data` besides: "none"; "slots", the optimizer's and the
            averages (ZeRO-1); "all", weights and gradients too (ZeRO-3, FSDP).
        watchdog: Of several processes.

    References:
        Tensor parallelism: Shoeybi et al. 2019, section 3. Sharding over data: Rajbhandari et al.
        2020, section 5.
    """

    whole_logits = True
    loops = False  # DTensor loses the order of recomputed functions in one.

    def __init__(
        self,
        devices: dtensor.Mesh,
        shard_weights: str = "none",
        watchdog: Watchdog | None = None,
    ) -> None:
        self.watchdog = watchdog
        self.mesh = devices
        # Compiles sooner, though nobody measured it here. For the whole process: what was compiled
        # with another choice would be compiled again at each change.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        self.degrees = {name: devices.dim_size(name) for name in ("data", "model")}
        self.shard_weights = shard_weights
        places = sorted({place["data"] for place in devices.local_device_locations()})
        self.parts = self.degrees["data"] // len(places)
        self.part = places[0] // len(places)
        self.is_chief = dtensor.client_id() == 0
        #: By a weight's id: how it lies where it is computed with.
        self._specs: dict[int, Spec] = {}
        self._placed: dict[int, keras.Variable] = {}
        self._sum = tf.function(tf.reduce_sum, autograph=False)
        self._required: tf.Tensor | None = None
        self._message = ""
        #: In a step: all variables as they are stored.
        self._stored: dict[int, tf.Tensor] = {}

    # Placement

    def place_weights(self, variables: Sequence[keras.Variable]) -> None:
        """Each in pieces as the layout table says, and with shard_weights "all" over data too."""
        for variable in variables:
            spec = layout_tables.spec_of(variable, self.degrees)
            self._specs[id(variable)] = spec
            at_rest = self._over_data(variable) if self.shard_weights == "all" else spec
            self._put(variable, at_rest)

    def place_optimizer(
        self, optimizer: keras.Optimizer, variables: Sequence[keras.Variable]
    ) -> None:
        """Slots of a weight's shape beside it or in finer pieces; others whole on every device."""
        super().place_optimizer(optimizer, variables)
        make_functional(optimizer)
        by_name = {variable.path.replace("/", "_"): variable for variable in variables}
        for slot in optimizer.variables:
            name = slot.path.rpartition("/")[2]
            owners = [owner for owner in by_name if name.startswith(f"{owner}_")]
            owner = by_name[max(owners, key=len)] if owners else None
            if owner is not None and owner.shape == slot.shape:
                self._put_beside(slot, owner)
            else:
                self._put(slot, (None,) * len(slot.shape))

    def place_averages(
        self, averages: Sequence[keras.Variable], variables: Sequence[keras.Variable]
    ) -> None:
        """As slots."""
        for average, variable in zip(averages, variables, strict=True):
            self._put_beside(average, variable)

    def place_state(self, variables: Sequence[keras.Variable]) -> None:
        """Whole on every device."""
        for variable in variables:
            self._put(variable, (None,) * len(variable.shape))

    def _put_beside(self, slot: keras.Variable, variable: keras.Variable) -> None:
        if self.shard_weights == "none":
            self._put(slot, self._specs[id(variable)])
        else:
            self._put(slot, self._over_data(variable))

    def _put(self, variable: keras.Variable, spec: Spec) -> None:
        self._placed[id(variable)] = variable
        if not isinstance(variable._value, dtensor.DVariable):
            value = mesh.to_mesh(variable._value.numpy(), mesh.layout(self.mesh, spec))
            variable._value = dtensor.DVariable(
                value, name=variable.name, trainable=variable.trainable
            )

    def _over_data(self, variable: keras.Variable) -> Spec:
        spec = self._specs[id(variable)]
        return layout_tables.over_data(spec, variable.shape, self.degrees["data"])

    # Several processes

    def sum_over_processes(self, number: int) -> int:
        """Waits for the others."""
        if dtensor.num_clients() == 1:
            return number
        others = self.mesh.num_local_devices() - 1
        pieces = [tf.constant([[each]], tf.int64) for each in (number, *[0] * others)]
        one_a_device = mesh.layout(self.mesh, ("data", "model"))
        with dtensor.default_mesh(self.mesh):
            total = self._sum(dtensor.pack(pieces, one_a_device))
        whole = int(dtensor.unpack(total)[0])
        if self.watchdog is not None:
            self.watchdog.beat()
        return whole

    # The step

    def spread(self, step: Step) -> Step:
        """The step as a transaction."""

        def transaction(batch: Batch) -> Logs:
            stored = {key: v._value.read_value() for key, v in self._placed.items()}
            given = {key: self._gathered(key, value) for key, value in stored.items()}
            values = [(variable, given[key]) for key, variable in self._placed.items()]
            self._stored, self._required = stored, None
            with keras.StatelessScope(values) as scope, placed_by(self._pin):
                logs = step(batch)
            for key, variable in self._placed.items():
                value = scope.get_current_value(variable)
                if value is not given[key] and value is not stored[key]:
                    target = variable._value
                    value = dtensor.relayout(value, target.layout)
                    if self._required is not None:
                        value = _choose(self._required, value, stored[key])
                    target.assign(value)
            return logs if self._required is None else {**logs, _GOOD: self._required}

        return transaction

    def call(self, function: Step, batch: Batch) -> Logs:
        """Hands each device its rows."""
        packed = {name: self._rows(value) for name, value in batch.items()}
        with dtensor.default_mesh(self.mesh):
            logs = function(packed)
        found = {name: dtensor.unpack(value)[0] for name, value in logs.items()}
        if not found.pop(_GOOD, True):
            raise tf.errors.InvalidArgumentError(None, None, self._message)
        return found

    def micro_batches(self, batch: Batch, number: int) -> Batch:
        """Each device cuts its own rows."""
        data = self.degrees["data"]

        def cut(x: tf.Tensor) -> tf.Tensor:
            rest = x.shape[1:]
            by_device = tf.reshape(x, [data, number, -1, *rest])
            turned = tf.transpose(by_device, [1, 0, 2, *range(3, by_device.shape.rank)])
            return tf.reshape(turned, [number, -1, *rest])

        return {name: cut(value) for name, value in batch.items()}

    def place_gradients(
        self, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
    ) -> list[tf.Tensor]:
        """Sums them over devices, each device as much as it updates."""
        placed = []
        for gradient, variable in zip(gradients, variables, strict=True):
            finest = self._over_data(variable)
            specs = [self._specs[id(variable)]] if self.shard_weights != "all" else []
            specs += [finest] if self.shard_weights != "none" else []
            cut = gradient
            for spec in specs:  # DTensor refuses to do both at once where only slots are cut.
                cut = dtensor.relayout(cut, mesh.layout(self.mesh, spec))
            placed.append(cut)
        return placed

    def apply(
        self,
        optimizer: keras.Optimizer,
        gradients: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        """Each device updates its pieces."""
        self._give_back(variables)
        super().apply(optimizer, gradients, variables)

    def require(self, good: tf.Tensor, message: str) -> list[Any]:
        """Told after the step, which then writes nothing.

        An error within would end what devices exchange, and all that the process does later.
        """
        self._required, self._message = good, message
        return []

    def update_if(
        self,
        good: tf.Tensor,
        update: Callable[[], None],
        optimizer: keras.Optimizer,
        variables: Sequence[keras.Variable],
    ) -> None:
        """Updates, and takes what was if it was not good: a branch would need other layouts."""
        del optimizer
        self._give_back(variables)
        before = [tf.convert_to_tensor(variable.value) for variable in variables]
        update()
        for variable, earlier in zip(variables, before, strict=True):
            variable.assign(_choose(good, variable.value, earlier))

    def _gathered(self, key: int, value: tf.Tensor) -> tf.Tensor:
        """A weight as the forward pass reads it: not cut over data."""
        if key not in self._specs or self.shard_weights != "all":
            return value
        return dtensor.relayout(value, mesh.layout(self.mesh, self._specs[key]))

    def _give_back(self, variables: Sequence[keras.Variable]) -> None:
        """Lets the update read weights as they are stored."""
        for variable in variables:
            variable.assign(self._stored[id(variable)])

    def _pin(self, x: tf.Tensor, axes: tuple[str | None, ...]) -> tf.Tensor:
        rows = {"batch": "data", **dict(layout_tables.TABLE)}
        spec = tuple(None if axis is None else rows[axis] for axis in axes)
        return dtensor.relayout(x, mesh.layout(self.mesh, spec))

    def _rows(self, rows: tf.Tensor) -> tf.Tensor:
        """This process's rows of a batch on its devices."""
        spec = ("data", *(None,) * (rows.shape.rank - 1))
        places = [place["data"] for place in self.mesh.local_device_locations()]
        pieces = self.degrees["data"] // self.parts
        parts = tf.split(rows, pieces)
        first = self.part * pieces
        return dtensor.pack(
            [parts[place - first] for place in places], mesh.layout(self.mesh, spec)
        )

    # What lies where

    def pieces(self, variable: keras.Variable) -> list[Any]:
        """What each device of this process has."""
        return list(dtensor.unpack(variable._value.read_value()))

    def layouts(self, variables: Sequence[keras.Variable]) -> dict[str, Spec]:
        """How variables lie, by path: read from them, not from what was asked for."""
        return {
            variable.path: mesh.spec_of(dtensor.fetch_layout(variable._value.read_value()))
            for variable in variables
        }

    def predicted_bytes(self, variables: Sequence[keras.Variable]) -> tuple[int, int]:
        """Of built weights: their bytes on each device, and those of one slot for each."""
        weights = slots = 0
        for variable in variables:
            spec = layout_tables.spec_of(variable, self.degrees)
            finest = layout_tables.over_data(spec, variable.shape, self.degrees["data"])
            at_rest = finest if self.shard_weights == "all" else spec
            beside = spec if self.shard_weights == "none" else finest
            size = tf.as_dtype(variable.dtype).size
            weights += layout_tables.piece_bytes(at_rest, variable.shape, size, self.degrees)
            slots += layout_tables.piece_bytes(beside, variable.shape, size, self.degrees)
        return weights, slots

    # Whole values

    def value(self, variable: keras.Variable) -> np.ndarray:
        """The whole of a variable; in a run of several processes all of them must ask."""
        return mesh.to_host(variable._value.read_value())

    def assign(self, variable: keras.Variable, value: np.ndarray) -> None:
        """Gives every device its piece."""
        target = variable._value
        array = np.asarray(value, target.dtype.as_numpy_dtype)
        target.assign(mesh.to_mesh(array, target.layout))


def _choose(good: tf.Tensor, value: tf.Tensor, earlier: tf.Tensor) -> tf.Tensor:
    """One of two, by a scalar; DTensor crashes where the condition has fewer axes."""
    return tf.where(tf.fill(earlier.shape, good), value, earlier)


def from_config(settings: config.Parallelism, cluster: Cluster) -> OnMesh:
    """The engine of a run over several processes, once all are there."""
    watchdog = Watchdog(settings.stall_seconds)
    return OnMesh(mesh.join(settings, cluster), settings.shard_weights, watchdog)
