"""Which engine a run asks for."""

from __future__ import annotations

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import devices, dtensor, mesh, multi_worker, replicated
from llm_keras.parallel.cluster import Cluster
from llm_keras.parallel.engine import Engine
from llm_keras.parallel.replicated import Replicated


def from_config(settings: config.Parallelism) -> Engine:
    """The engine of a run, on the first devices that are visible.

    Raises:
        UserError: More devices are asked for than there are, or other processes.
    """
    cluster = Cluster.of(settings)
    if cluster is not None and settings.strategy == "multi_worker":
        return multi_worker.from_config(settings, cluster)
    if settings.strategy == "dtensor":
        if cluster is None:
            return dtensor.OnMesh(
                mesh.create(_devices(settings), settings.data, settings.model),
                settings.shard_weights,
            )
        return dtensor.from_config(settings, cluster)
    names = _devices(settings)
    if len(names) == 1:
        return Replicated()
    return replicated.mirrored(names)


def _devices(settings: config.Parallelism) -> list[str]:
    """As many devices as the product of the degrees."""
    visible = devices.visible()
    if settings.devices > len(visible):
        raise UserError(
            f"training.parallelism: {settings.product} devices are asked for, but {len(visible)}"
            f" {'is' if len(visible) == 1 else 'are'} visible ({', '.join(visible)}); lower a"
            " factor, or without GPUs set training.parallelism.split_cpu to try it on a CPU"
        )
    return visible[: settings.devices]
