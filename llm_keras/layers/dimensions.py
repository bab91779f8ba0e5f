"""Logical dimensions: a variable says once what its axes are; a layout table maps them to a mesh.

Nothing else in the layers knows that meshes exist.
"""

from __future__ import annotations

import keras

#: Every name that a variable's axis may carry.
DIMENSIONS = frozenset(
    {
        "vocabulary",
        "positions",
        "token_types",
        "buckets",
        "hidden",
        "query_heads",
        "key_value_heads",
        "head",
        "heads",
        "feed_forward",
        "experts",
        "rank",
    }
)


def name_dimensions(
    variable: keras.Variable, *names: str, whole: int | None = None
) -> keras.Variable:
    """Notes the logical dimension of each axis on the variable, and returns it.

    Args:
        variable: With `names` axes.
        names: Of `DIMENSIONS`.
        whole: Neighbouring places along heads that a layout may not part: a head's features.

    Raises:
        ValueError: The number of names is not the rank, or a name is not in `DIMENSIONS`.
    """
    if len(names) != len(variable.shape) or not DIMENSIONS.issuperset(names):
        raise ValueError(
            f"{variable.path} has shape {tuple(variable.shape)}: expected one name of"
            f" {sorted(DIMENSIONS)} for each axis, got {names}"
        )
    variable.dimensions = names
    if whole is not None:
        variable.whole = {name: whole for name in names if name.endswith("heads")}
    return variable


def dimensions_of(variable: keras.Variable) -> tuple[str, ...]:
    """The logical dimension of each axis of a variable of these layers.

    Raises:
        ValueError: The layer that made the variable did not name its dimensions.
    """
    names: tuple[str, ...] | None = getattr(variable, "dimensions", None)
    if names is None:
        raise ValueError(f"{variable.path}: its layer names no dimensions; see name_dimensions")
    return names
