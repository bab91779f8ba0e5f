"""Data parallelism over processes: each has some of the replicas and reads its rows alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import collective_all_reduce_strategy as collective

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel.cluster import Cluster
from llm_keras.parallel.replicated import Replicated
from llm_keras.parallel.together import Together
from llm_keras.parallel.watchdog import Watchdog


class MultiWorker(Together, Replicated):
    """The replicas of a `MultiWorkerMirroredStrategy`.

    Args:
        strategy: Over all processes.
        cluster: These.
        watchdog: Is told when all processes have met.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, cluster: Cluster, watchdog: Watchdog
    ) -> None:
        super().__init__(strategy)
        self.part, self.parts = cluster.index, len(cluster.workers)
        self.is_chief = cluster.is_chief
        self.watchdog: Watchdog = watchdog
        self._sum = tf.function(self._sum_in_graph, autograph=False)

    def dataset(self, make: Callable[[int, int], tf.data.Dataset]) -> Any:
        """An element a replica; those of this process together are its part of the batch."""
        replicas = self.strategy.num_replicas_in_sync // self.parts
        own = make(self.part, self.parts)
        spread = self.strategy.distribute_datasets_from_function(lambda _: _cut(own, replicas))
        spread._cardinality = own.cardinality().numpy()  # of batches, not of pieces: for Keras
        return spread

    def sum_over_processes(self, number: int) -> int:
        """Waits for the others."""
        total = self._sum(tf.constant(number, tf.int64))
        self.watchdog.beat()
        return int(total)

    def _sum_in_graph(self, number: tf.Tensor) -> tf.Tensor:
        first = self.strategy.num_replicas_in_sync // self.parts * self.part

        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            own = tf.where(context.replica_id_in_sync_group == first, number, 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        return self.strategy.experimental_local_results(self.strategy.run(replica))[0]


def from_config(settings: config.Parallelism, cluster: Cluster) -> MultiWorker:
    """The engine of a run, once all processes are there; before anything is computed.

    Raises:
        UserError: There are fewer devices than this process's share, or they have begun to compute.
    """
    share = cluster.share(settings)
    on_gpu = _take_devices(share, settings, cluster)
    watchdog = Watchdog(settings.stall_seconds)
    try:
        return MultiWorker(_strategy(share, on_gpu), cluster, watchdog)
    except RuntimeError:
        raise UserError(
            "training.parallelism.strategy multi_worker must come before anything is computed; call"
            " it first in the process"
        ) from None


def _take_devices(share: int, settings: config.Parallelism, cluster: Cluster) -> bool:
    """Leaves this process its first devices alone; whether these are GPUs."""
    gpus = tf.config.list_physical_devices("GPU")
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    found = len(gpus) or len(tf.config.get_logical_device_configuration(cpu) or [None])
    if share > found:
        kind = "GPU" if gpus else "CPU"
        raise UserError(
            f"training.parallelism: {settings.product} devices are {share} for each of the"
            f" {len(cluster.workers)} workers, but worker {cluster.index} has {found} ({kind});"
            " lower a factor, start more workers, or without GPUs set"
            f" training.parallelism.split_cpu to {share}"
        )
    if gpus:
        tf.config.set_visible_devices(gpus[:share], "GPU")
    return bool(gpus)


def _strategy(share: int, on_gpu: bool) -> tf.distribute.Strategy:
    implementations = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=implementations.AUTO if on_gpu else implementations.RING
    )
    if on_gpu or share == 1:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return _OnSplitCpu(share, options)


class _OnSplitCpu(tf.distribute.MultiWorkerMirroredStrategy):
    """The same with several CPU devices in a process, of which TensorFlow's own takes the first."""

    def __init__(self, share: int, options: Any) -> None:
        class Extended(collective.CollectiveAllReduceExtended):
            def _initialize_local_devices(
                self, cluster_resolver: Any, worker_device: str
            ) -> tuple[tuple[str, ...], str]:
                del cluster_resolver
                return tuple(f"{worker_device}/device:CPU:{i}" for i in range(share)), "CPU"

        tf.distribute.Strategy.__init__(
            self, Extended(self, cluster_resolver=None, communication_options=options)
        )


def _cut(dataset: tf.data.Dataset, pieces: int) -> tf.data.Dataset:
    """Each batch as so many that follow each other."""
    if pieces == 1:
        return dataset

    def cut(batch: dict[str, tf.Tensor]) -> tf.data.Dataset:
        pieced = {name: tf.stack(tf.split(value, pieces)) for name, value in batch.items()}
        return tf.data.Dataset.from_tensor_slices(pieced)

    cut_up = dataset.flat_map(cut)
    if dataset.cardinality() != tf.data.INFINITE_CARDINALITY:
        return cut_up
    return cut_up.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
