"""Single JSON values to NumPy arrays, strictly typed: `1.0` is no int32, `1` is a float."""

from __future__ import annotations

import base64
import binascii
from itertools import chain
from typing import Any

import numpy as np

from serving.errors import Code, ServingError, invalid
from serving.rest.json_text import show, type_name

Array = np.ndarray[Any, Any]

_FLOATS = {"float": np.float32, "double": np.float64}
_INTEGERS: dict[str, type[np.integer[Any]]] = {
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint32": np.uint32,
    "uint64": np.uint64,
}
#: NumPy has 64 dimensions; one is left for the batch.
_LARGEST_RANK = 63


def to_array(value: Any, dtype: str) -> Array:
    """A scalar or evenly nested list as an array of TensorFlow's type `dtype`.

    Example:
    >>> to_array([[1, 2.5], [3, float("inf")]], "float")
    array([[1. , 2.5],
           [3. , inf]], dtype=float32)
    """
    shape = _shape(value)
    leaves = _leaves(value, shape)
    return _convert(leaves, dtype).reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that the first element of each level suggests."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _LARGEST_RANK:
        raise invalid(f"Encountered list at unexpected level: {len(shape)} expected <= 63")
    return tuple(shape)


def _leaves(value: Any, shape: tuple[int, ...]) -> list[Any]:
    items = [value]
    for level, size in enumerate(shape):
        for item in items:
            if not isinstance(item, list):
                raise invalid(
                    f"JSON Value: {show(item)} found at incorrect level: {level + 1}"
                    f" in the JSON DOM. Expected at level: {len(shape)}"
                )
            if len(item) != size:
                raise invalid(
                    f"Encountered list at unexpected size: {len(item)} at level: {level}"
                    f" expected size: {size}"
                )
        items = list(chain.from_iterable(items))
    if list in set(map(type, items)):
        raise invalid(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    return items


def _convert(leaves: list[Any], dtype: str) -> Array:
    if dtype == "string":
        _check_types(leaves, {str, dict}, dtype)
        return _objects([to_bytes(leaf) for leaf in leaves])
    if dtype == "bool":
        _check_types(leaves, {bool}, dtype)
        return np.array(leaves, dtype=np.bool_)
    if dtype in _FLOATS:
        _check_types(leaves, {int, float}, dtype)
        return _floats(leaves, dtype)
    if dtype in _INTEGERS:
        _check_types(leaves, {int}, dtype)
        return _integers(leaves, dtype)
    value = show(leaves[0]) if leaves else "[]"
    raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {value} to type: {dtype}")


def _check_types(leaves: list[Any], expected: set[type], dtype: str) -> None:
    if not set(map(type, leaves)) <= expected:
        raise _wrong_type(next(leaf for leaf in leaves if type(leaf) not in expected), dtype)


def _wrong_type(leaf: Any, dtype: str) -> ServingError:
    return invalid(
        f"JSON Value: {show(leaf)} Type: {type_name(leaf)} is not of expected type: {dtype}"
    )


def _objects(values: list[bytes]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _floats(leaves: list[Any], dtype: str) -> Array:
    """Rounds to the nearest value; what is finite must stay so."""
    try:
        exact = np.array(leaves, dtype=np.float64)
    except OverflowError:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from None
    with np.errstate(over="ignore"):
        rounded = exact.astype(_FLOATS[dtype])
    overflown = np.isinf(rounded) & np.isfinite(exact)
    if overflown.any():
        leaf = leaves[int(np.argmax(overflown))]
        raise invalid(f"Cannot convert JSON value: {show(leaf)} to {dtype} without overflow.")
    return rounded


def _integers(leaves: list[Any], dtype: str) -> Array:
    limits = np.iinfo(_INTEGERS[dtype])
    if leaves and not (limits.min <= min(leaves) and max(leaves) <= limits.max):
        raise _wrong_type(
            next(leaf for leaf in leaves if not limits.min <= leaf <= limits.max), dtype
        )
    return np.array(leaves, dtype=_INTEGERS[dtype])


def is_base64(value: Any) -> bool:
    """Whether a value is `{"b64": "..."}`, which stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def to_bytes(value: Any) -> bytes:
    """The bytes of a JSON string, or of a `{"b64": ...}` object."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None
    if not is_base64(value):
        raise invalid(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None
