"""Data parallelism by replicas: each device has the whole model and a part of every batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from llm_keras.parallel.engine import Batch, Engine, Learner, Logs, Step


class Replicated(Engine):
    """The replicas of a `tf.distribute` strategy.

    Args:
        strategy: Default: the one in scope, which without a scope is one device.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        self.strategy = strategy or tf.distribute.get_strategy()
        self.fuses = self.strategy.num_replicas_in_sync == 1

    def scope(self) -> AbstractContextManager[Any]:
        """The strategy's."""
        return self.strategy.scope()

    def place_optimizer(
        self, optimizer: keras.Optimizer, variables: Sequence[keras.Variable]
    ) -> None:
        """Slots are mirrored like their variables."""
        with self.scope():
            super().place_optimizer(optimizer, variables)
        take_reduced_gradients(optimizer)

    def spread(self, step: Step) -> Step:
        """Every replica takes the step with its part of the batch; all know the same logs."""

        def all_replicas(batch: Batch) -> Logs:
            logs = self.strategy.run(step, args=(batch,))
            return {key: self.strategy.experimental_local_results(logs[key])[0] for key in logs}

        return all_replicas

    def sums(self, learner: Learner, batch: Batch, micro_batches: int) -> Any:
        """The replicas' sums are added once, after all micro-batches."""
        sums = learner.accumulate(batch, micro_batches)
        return tf.nest.pack_sequence_as(sums, self.sum(tf.nest.flatten(sums)))

    def sum(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Sums each tensor over the replicas; every replica gets the sums."""
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1:
            return list(tensors)
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))

    def update_if(
        self,
        good: tf.Tensor,
        update: Callable[[], None],
        optimizer: keras.Optimizer,
        variables: Sequence[keras.Variable],
    ) -> None:
        """Several replicas cannot update inside a branch: they do, and put back what was."""
        if self.strategy.num_replicas_in_sync == 1:
            super().update_if(good, update, optimizer, variables)
            return
        before = [tf.convert_to_tensor(variable.value) for variable in variables]
        with tf.control_dependencies(before):
            update()

        def put_back(strategy: tf.distribute.Strategy, good: Any, *before: Any) -> None:
            def choose(now: tf.Variable, earlier: tf.Tensor, good: tf.Tensor) -> None:
                now.assign(tf.where(good, now, earlier))

            for variable, earlier in zip(variables, before, strict=True):
                strategy.extended.update(variable.value, choose, args=(earlier, good), group=False)

        tf.distribute.get_replica_context().merge_call(put_back, args=(good, *before))

    def first_row(self, rows: tf.Tensor) -> tf.Tensor | int:
        """Replicas have as many rows each, in their order."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return replica * tf.shape(rows)[0]

    def pieces(self, variable: keras.Variable) -> list[Any]:
        """The copies that this process has."""
        return list(self.strategy.experimental_local_results(variable.value))


def mirrored(names: Sequence[str]) -> Replicated:
    """Replicas on devices of this process."""
    return Replicated(_mirrored(tuple(names)))


@functools.cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy a set of devices in a process, and on CPUs one that needs no collectives.

    TensorFlow numbers the collective operations of every strategy from the same start, and keeps
    what each number was for: a second strategy would meet the shapes of the first one's.
    """
    on_cpu = all("CPU" in name for name in names)
    reduction = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy(list(names), cross_device_ops=reduction)


def take_reduced_gradients(optimizer: keras.Optimizer) -> None:
    """Tells a Keras optimizer that the gradients it gets are sums over the replicas already.

    Keras sums inside `apply`, after its clipping, so that it clips each replica's own gradient: the
    result would depend on the number of replicas. There is no public switch; a test pins this one.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = list
