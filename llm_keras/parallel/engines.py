"""Which engine a run asks for."""

from __future__ import annotations

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import devices, dtensor, mesh, multi_worker, replicated
from llm_keras.parallel.cluster import Cluster
from llm_keras.parallel.engine import Engine
from llm_keras.parallel.pipeline import Pipeline
from llm_keras.parallel.placed import Placed
from llm_keras.parallel.replicated import Replicated

#: Numbers that an optimizer keeps of each weight, but for a few vectors.
SLOTS = {"adamw": 2.0, "lion": 1.0, "muon": 1.0, "adafactor": 0.0}


def of_training(settings: config.Training) -> Engine:
    """The engine of a run; see `from_config`."""
    micro_batches = settings.parallelism.data * settings.gradient_accumulation_steps
    slots = SLOTS[settings.optimizer.kind] + (settings.ema_decay is not None)
    rows = settings.global_batch_size // micro_batches
    return from_config(settings.parallelism, rows, slots)


def from_config(settings: config.Parallelism, rows: int = 1, slots: float = 2.0) -> Engine:
    """The engine of a section `parallelism`, on the first devices that are visible.

    Args:
        settings: The section.
        rows: Of a micro-batch on a device: stages are cut by the bytes of their activations too.
        slots: Numbers that the optimizer keeps of each weight, for the same.

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
    return _in_this_process(settings, _devices(settings), rows, slots)


def _in_this_process(
    settings: config.Parallelism, names: list[str], rows: int, slots: float
) -> Engine:
    if settings.strategy == "layers":
        return Placed(names, rows, slots)
    if settings.strategy == "pipeline":
        stages = [names[i : i + settings.data] for i in range(0, len(names), settings.data)]
        return Pipeline(stages, settings.schedule, rows, slots)
    return Replicated() if len(names) == 1 else replicated.mirrored(names)


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
