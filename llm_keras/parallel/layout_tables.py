"""Which axis of a variable lies over which axis of a mesh: a table, and the reading of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras

from llm_keras.errors import UserError

#: Logical dimension -> axis of the mesh; None: whole on every device. Attention is cut by heads and
#: the feed-forward layer by its inner width, so that a block needs one sum over `model` after each
#: (Shoeybi et al. 2019, section 3); embedding and output are cut by vocabulary.
TABLE: tuple[tuple[str, str | None], ...] = (
    ("vocabulary", "model"),
    ("query_heads", "model"),
    ("key_value_heads", "model"),
    ("heads", "model"),
    ("feed_forward", "model"),
    ("hidden", None),
    ("head", None),
    ("positions", None),
    ("token_types", None),
    ("buckets", None),
    ("experts", None),  # Every device has a part of each expert, as of any feed-forward layer.
    ("rank", None),
)

#: The mesh axis of each axis of a tensor; None: whole.
Spec = tuple[str | None, ...]


def spec_of(
    variable: keras.Variable,
    degrees: Mapping[str, int],
    table: Sequence[tuple[str, str | None]] = TABLE,
) -> Spec:
    """Where a variable's axes lie.

    Args:
        variable: Of `layers`, so that its axes are named.
        degrees: Size of each axis of the mesh.
        table: Rows of logical dimension and mesh axis.

    Raises:
        ValueError: The axes have no names, or a name has no row or two, or two axes lie over one.
        UserError: A dimension does not divide by the number of its pieces.
    """
    names = getattr(variable, "dimensions", None)
    if names is None:
        raise ValueError(f"{variable.path}: its layer names no dimensions; see name_dimensions")
    spec = tuple(_axis(name, variable.path, table) for name in names)
    # One piece is the whole; DTensor would still take it for a piece, which it may refuse to split.
    spec = tuple(axis if degrees.get(axis or "", 1) > 1 else None for axis in spec)
    cut = [axis for axis in spec if axis is not None]
    if len(cut) > len(set(cut)):
        raise ValueError(f"{variable.path}: {names} lie over {spec}; an axis can cut one of them")
    whole = getattr(variable, "whole", {})
    for name, axis, size in zip(names, spec, variable.shape, strict=True):
        pieces, units = degrees.get(axis or "", 1), size // whole.get(name, 1)
        if units % pieces:
            raise UserError(
                f"{variable.path}: {name} {units} cannot be cut into training.parallelism.{axis}"
                f" {pieces} equal pieces; choose a divisor of {units}, or another {name}"
            )
    return spec


def _axis(name: str, path: str, table: Sequence[tuple[str, str | None]]) -> str | None:
    rows = [axis for dimension, axis in table if dimension == name]
    if len(rows) != 1:
        raise ValueError(f"{path}: expected one row of the layout table for {name}, got {rows}")
    return rows[0]


def over_data(spec: Spec, shape: Sequence[int], pieces: int) -> Spec:
    """The same, cut over `data` besides: along the longest axis that is whole and divides.

    Where none divides, as of some vectors and scalars, it stays as it is.
    """
    for axis in sorted(range(len(shape)), key=lambda axis: -shape[axis]):
        if pieces > 1 and spec[axis] is None and shape[axis] % pieces == 0:
            return (*spec[:axis], "data", *spec[axis + 1 :])
    return spec


def piece_bytes(spec: Spec, shape: Sequence[int], size: int, degrees: Mapping[str, int]) -> int:
    """Bytes on each device.

    Args:
        spec: Of the tensor.
        shape: Its whole shape.
        size: Bytes of a number.
        degrees: Size of each axis of the mesh.
    """
    pieces = math.prod(degrees[axis] for axis in spec if axis is not None)
    return math.prod(shape) * size // pieces
