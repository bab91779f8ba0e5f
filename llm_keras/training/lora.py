"""Low-rank adaptation: small trainable matrices beside frozen ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError

INNER, OUTER = "lora_kernel_a", "lora_kernel_b"

Tensors = dict[str, np.ndarray]


def add(network: keras.Model, settings: config.Lora, seed: int) -> None:
    """Freezes a network and adds the trainable pairs of matrices, which change nothing yet.

    ``W x`` becomes ``W x + alpha / rank * B A x``, with A normal of variance 1 / inputs, by seed
    and path, and B zero.

    Args:
        network: One of `models`, built.
        settings: Section `training.lora` of the run.
        seed: Of the matrices A.

    Raises:
        UserError: No block has a projection that is asked for.

    References:
        Hu et al. 2022, sections 4.1 and 4.2.
    """
    for variable in network.variables:
        variable.trainable = False
    for target in settings.targets:
        projections = list(_projections(network, target))
        if not projections:
            raise UserError(
                f"training.lora.targets: {target} is a matrix in no block of this model (experts"
                " and layers without a gate have none); remove it"
            )
        for layer in projections:
            layer.enable_lora(settings.rank, settings.alpha)
            layer.lora_kernel_a.assign(_normal(layer.lora_kernel_a, seed))


def split(
    variables: Sequence[keras.Variable],
) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """A network's own variables, and the added ones."""
    added = [variable for variable in variables if variable.name in (INNER, OUTER)]
    return [variable for variable in variables if variable.name not in (INNER, OUTER)], added


def merge(
    network: Mapping[str, np.ndarray], added: Mapping[str, np.ndarray], alpha: float
) -> Tensors:
    """The kernels with their additions: a network without added matrices that does the same.

    Args:
        network: Arrays of the own variables; a name ends with the variable's path.
        added: Arrays of the added variables, the same.
        alpha: As trained.
    """
    by_path = {_path(name): array for name, array in added.items()}
    merged = dict(network)
    for name, kernel in network.items():
        layer = _path(name).removesuffix("/kernel")
        if f"{layer}/{INNER}" in by_path:
            inner, outer = by_path[f"{layer}/{INNER}"], by_path[f"{layer}/{OUTER}"]
            merged[name] = kernel + np.float32(alpha / inner.shape[1]) * (inner @ outer)
    return merged


def _projections(network: keras.Model, target: str) -> Iterator[Any]:
    """The layers of that name in all blocks."""
    # Keras's layers have an `output` of their own.
    attribute = "output_projection" if target == "output" else target
    for block in network.layers:
        for part in ("attention", "cross_attention", "feed_forward"):
            layer = getattr(getattr(block, part, None), attribute, None)
            if hasattr(layer, "enable_lora"):
                yield layer


def _normal(variable: keras.Variable, seed: int) -> tf.Tensor:
    digest = hashlib.sha256(f"{seed}/{variable.path}".encode()).digest()
    key = [int.from_bytes(digest[i : i + 4], "little", signed=True) for i in (0, 4)]
    deviation = variable.shape[0] ** -0.5
    return tf.random.stateless_normal(variable.shape, key, stddev=deviation)


def _path(name: str) -> str:
    """Of a name in a checkpoint, "0004:path"."""
    return name.partition(":")[2]
