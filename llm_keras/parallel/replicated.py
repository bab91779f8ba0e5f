"""Data parallelism by replicas: each device has the whole model and a part of every batch."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import devices


def from_config(settings: config.Parallelism) -> tf.distribute.Strategy:
    """The distribution strategy of a run; the model is built and trained under its scope.

    One replica needs no strategy but TensorFlow's default. Several share the first devices.

    Raises:
        UserError: More devices are asked for than there are.
    """
    visible = devices.visible()
    if settings.data > len(visible):
        raise UserError(
            f"training.parallelism.data: {settings.data} devices are asked for, but"
            f" {len(visible)} {'is' if len(visible) == 1 else 'are'} visible"
            f" ({', '.join(visible)}); lower it to {len(visible)}"
        )
    if settings.data == 1:
        return tf.distribute.get_strategy()
    return _mirrored(tuple(visible[: settings.data]))


@functools.cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy a set of devices in a process, and on CPUs one that needs no collectives.

    TensorFlow numbers the collective operations of every strategy from the same start, and keeps
    what each number was for: a second strategy would meet the shapes of the first one's.
    """
    on_cpu = all("CPU" in name for name in names)
    reduction = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy(list(names), cross_device_ops=reduction)


def sum_over_replicas(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Sums each tensor over the replicas; every replica gets the sums. In replica context only."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return list(tensors)
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def take_reduced_gradients(optimizer: keras.Optimizer) -> None:
    """Tells a Keras optimizer that the gradients it gets are sums over the replicas already.

    Keras sums inside `apply`, after its clipping, so that it clips each replica's own gradient: the
    result would depend on the number of replicas. There is no public switch; a test pins this one.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = list
