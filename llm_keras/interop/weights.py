"""Moves weights between a model and the tensors of a file, by a table of names.

Before a value is read, all names and shapes are compared: what is missing, left over or of another
shape is told at once, with what was expected and found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np

from llm_keras import models
from llm_keras.errors import UserError
from llm_keras.interop.forms import FORMS
from llm_keras.interop.names import Row, Table
from llm_keras.interop.tensor import Shape, Tensor, Tensors

#: Wrong tensors that one message names.
MOST_NAMED = 5


class Place(NamedTuple):
    """Where one of a model's weights is in a file."""

    variable: keras.Variable
    path: str
    theirs: tuple[str, ...]
    form: str
    shape: Shape
    heads: int


def load(model: models.Transformer, tensors: Tensors, table: Table, name: str) -> list[str]:
    """Sets a model's weights from a file's tensors.

    Args:
        model: Built.
        tensors: Of the file.
        table: Their names.
        name: Of the file, for messages.

    Returns:
        Notes: what of the file is not used, and what of the model stays as it was made.

    Raises:
        UserError: Tensors are missing, left over, of another shape, or hold NaN or infinity.
    """
    tensors = _by_todays_names(tensors, table)
    found, absent = _found(places(model, table), tensors, table)
    notes = _compare(found, tensors, table, name)
    wrong = []
    for place in found:
        value = _read(place, tensors)
        if not np.isfinite(value).all():
            wrong.append(f"{', '.join(place.theirs[:2])} holds NaN or infinity")
        place.variable.assign(value)
    _refuse(name, wrong)
    return notes + [f"made anew, as the file lacks it: {part}" for part in absent]


def tensors_of(model: models.Transformer, table: Table) -> dict[str, Tensor]:
    """A model's weights as a file of the layout has them, made when they are read.

    Raises:
        UserError: The layout has no place for one of them.
    """
    fused: dict[str, list[Place]] = {}
    for place in places(model, table):
        for name in place.theirs:
            fused.setdefault(name, []).append(place)
    made = {name: Tensor(parts[0].shape, _writer(name, parts)) for name, parts in fused.items()}
    return made | {name: _zeros((model.settings.hidden_dim,) * axes) for name, axes in table.zeros}


def _zeros(shape: Shape) -> Tensor:
    return Tensor(shape, lambda: np.zeros(shape, np.float32))


def places(model: models.Transformer, table: Table) -> list[Place]:
    """Where each weight of a model is in a file of the layout.

    Raises:
        UserError: The layout has no place for one of them.
    """
    rows = _expanded(model, table)
    found = []
    for variable in model.variables:
        path = variable.path.removeprefix(f"{model.name}/")
        if path not in rows:
            raise UserError(f"this layout has no place for the weight {path}")
        found.append(_place(model, variable, path, rows[path]))
    return found


def _place(model: models.Transformer, variable: keras.Variable, path: str, row: Row) -> Place:
    settings = model.settings
    of_keys = "/key/" in path or "/value/" in path
    heads = settings.key_value_heads if of_keys else settings.num_query_heads
    theirs: tuple[str, ...] = (row.theirs,)
    if "{e}" in row.theirs and settings.experts is not None:
        theirs = tuple(
            row.theirs.replace("{e}", str(e)) for e in range(settings.experts.num_experts)
        )
    shape = FORMS[row.form].shape(tuple(variable.shape), heads)
    return Place(variable, path, theirs, row.form, shape, heads)


def _expanded(model: models.Transformer, table: Table) -> dict[str, Row]:
    """Our path -> its row, those of blocks for every block."""
    layers = max(model.settings.num_layers, model.settings.encoder_layers)
    rows = {}
    for row in table.rows:
        for index in range(layers if "{i}" in row.ours else 1):
            ours, theirs = (name.replace("{i}", str(index)) for name in (row.ours, row.theirs))
            rows[ours] = Row(ours, theirs, row.form)
    return rows


def _by_todays_names(tensors: Tensors, table: Table) -> dict[str, Tensor]:
    """Older endings renewed, and the prefix added that files of the bare model lack."""
    renamed = {}
    bare = table.prefix and not any(name.startswith(table.prefix) for name in tensors)
    known = {re.sub(r"\{[ie]\}", "0", row.theirs) for row in table.rows}
    for name, tensor in tensors.items():
        for old, new in table.aliases:
            name = name.removesuffix(old) + new if name.endswith(old) else name  # noqa: PLW2901
        if bare and re.sub(r"\b\d+\b", "0", table.prefix + name) in known:
            name = table.prefix + name  # noqa: PLW2901
        renamed[name] = tensor
    return renamed


def _found(
    wanted: Sequence[Place], tensors: Tensors, table: Table
) -> tuple[list[Place], list[str]]:
    """The places to be read, and the optional parts that the file lacks whole."""
    absent = [
        part
        for part in table.optional
        if not any(
            name in tensors
            for place in wanted
            if place.path.startswith(part)
            for name in place.theirs
        )
        and any(place.path.startswith(part) for place in wanted)
    ]
    found = [place for place in wanted if not place.path.startswith(tuple(absent))]
    return found, [part.rstrip("/") for part in absent]


def _compare(found: Sequence[Place], tensors: Tensors, table: Table, name: str) -> list[str]:
    """Refuses a file that does not fit; says what of it is not used."""
    wrong = []
    wanted = {their: place for place in found for their in place.theirs}
    for their, place in wanted.items():
        if their not in tensors:
            wrong.append(f"{their} {list(place.shape)} is missing")
        elif tensors[their].shape != place.shape:
            shape = list(tensors[their].shape)
            wrong.append(f"{their} is {shape}, expected {list(place.shape)}")
    notes = set()
    for their in tensors.keys() - wanted.keys():
        use = [what for pattern, what in table.unused if re.fullmatch(pattern, their)]
        notes |= {f"not used: {what}" for what in use}
        if not use and not any(re.fullmatch(pattern, their) for pattern in table.ignored):
            wrong.append(f"{their} {list(tensors[their].shape)} has no place in the model")
    _refuse(name, sorted(wrong))
    return sorted(notes)


def _refuse(name: str, wrong: Sequence[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise UserError(f"{name}: {'; '.join(wrong[:MOST_NAMED])}{more}")


def _read(place: Place, tensors: Tensors) -> np.ndarray:
    read = FORMS[place.form].read
    parts = [read(tensors[name].read(), place.heads) for name in place.theirs]
    return np.stack(parts) if place.form == "experts" else parts[0]


def _writer(name: str, parts: Sequence[Place]) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        values = []
        for place in parts:
            value = np.asarray(place.variable.value.numpy())
            if place.form == "experts":
                value = value[place.theirs.index(name)]
            values.append(FORMS[place.form].write(value, place.heads))
        whole = values[0] if len(values) == 1 else np.concatenate(values, axis=-1)
        return np.ascontiguousarray(whole)

    return read
