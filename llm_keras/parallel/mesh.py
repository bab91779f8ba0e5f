"""Meshes of devices, and host arrays in pieces on them and back."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.experimental import dtensor

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel.cluster import Cluster, environment
from llm_keras.parallel.layout_tables import Spec


def create(names: Sequence[str], data: int, model: int) -> dtensor.Mesh:
    """A mesh of devices of this process, `data` rows of `model` devices."""
    devices = [name.split("device:")[-1] for name in names]
    return dtensor.create_mesh([("data", data), ("model", model)], devices=devices)


def join(settings: config.Parallelism, cluster: Cluster) -> dtensor.Mesh:
    """A mesh of devices of several processes; each calls it before anything is computed.

    Raises:
        UserError: This process has begun to compute, or has too few devices.
    """
    share = cluster.share(settings)
    os.environ.update(environment(cluster.workers, cluster.index, "dtensor"))
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus and share > gpus:
        raise UserError(
            f"training.parallelism: {settings.product} devices are {share} for each of the"
            f" {len(cluster.workers)} workers, but worker {cluster.index} has {gpus} GPUs; lower a"
            " factor, or start more workers"
        )
    kind = "GPU" if gpus else "CPU"
    try:
        dtensor.initialize_accelerator_system(
            kind, num_logical_cpu_devices=max(gpus, share) if gpus else share
        )
    except ValueError:
        raise UserError(
            "training.parallelism.strategy dtensor over several processes must come before anything"
            " is computed; call it first in the process"
        ) from None
    return dtensor.create_distributed_mesh(
        [("data", settings.data), ("model", settings.model)],
        local_devices=[f"{kind}:{number}" for number in range(share)],
        device_type=kind,
    )


def layout(mesh: dtensor.Mesh, spec: Spec) -> dtensor.Layout:
    """The layout of tensors whose axes lie as `spec` says."""
    return dtensor.Layout([axis or dtensor.UNSHARDED for axis in spec], mesh)


def whole(mesh: dtensor.Mesh, rank: int) -> dtensor.Layout:
    """The layout of tensors that every device has."""
    return dtensor.Layout.replicated(mesh, rank)


def spec_of(of: dtensor.Layout) -> Spec:
    """The opposite of `layout`."""
    return tuple(None if axis == dtensor.UNSHARDED else axis for axis in of.sharding_specs)


def to_mesh(array: np.ndarray, to: dtensor.Layout) -> tf.Tensor:
    """Puts a whole array on a mesh, each device its piece, without communication."""
    return dtensor.pack([tf.constant(array[piece]) for piece in _pieces(to, array.shape)], to)


def to_host(tensor: tf.Tensor) -> np.ndarray:
    """The whole of a tensor on a mesh. With several processes all of them must call it."""
    of = dtensor.fetch_layout(tensor)
    if dtensor.num_clients() > 1 and not _is_whole(of):
        of = whole(of.mesh, tensor.shape.rank)
        tensor = dtensor.relayout(tensor, of)
    parts = dtensor.unpack(tensor)
    if _is_whole(of):
        return np.asarray(parts[0].numpy())
    array = np.empty(tensor.shape, tensor.dtype.as_numpy_dtype)
    for piece, part in zip(_pieces(of, array.shape), parts, strict=True):
        array[piece] = part.numpy()
    return array


def _is_whole(of: dtensor.Layout) -> bool:
    return not any(spec_of(of))


def _pieces(of: dtensor.Layout, shape: Sequence[int]) -> list[tuple[slice, ...]]:
    """Which part of a whole array each device of this process has."""

    def piece(place: dict[str, int], axis: str | None, size: int) -> slice:
        if axis is None:
            return slice(None)
        length = size // of.mesh.dim_size(axis)
        return slice(place[axis] * length, (place[axis] + 1) * length)

    spec = spec_of(of)
    return [
        tuple(piece(place, axis, size) for axis, size in zip(spec, shape, strict=True))
        for place in of.mesh.local_device_locations()
    ]
