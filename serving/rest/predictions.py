"""Output tensors to the JSON of an answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import invalid
from serving.rest.numbers import format_floats
from serving.rest.tensors import Layout

Array = np.ndarray[Any, Any]
Named = Sequence[tuple[str, Array]]

#: Strings under an alias that ends so are bytes, and written as base64.
_BYTES_SUFFIX = "_bytes"
_INDENT = "    "


def encode(outputs: Mapping[str, Array], layout: Layout) -> str:
    """The outputs of a signature as JSON, in the layout of the request.

    Args:
        outputs: An array for each alias; strings are arrays of `bytes`. The name of a single output
            is left out.
        layout: `row` answers with `predictions`, an item for each row of the batch; `columnar`
            with `outputs`, whole tensors.

    Returns:
        JSON; NaN, Infinity and -Infinity stand for themselves.

    Raises:
        ServingError: INVALID_ARGUMENT; a type that JSON cannot carry, or rows that do not match.

    Example:
    >>> print(encode({"y": np.array([2.5, 3.0], np.float32)}, "row"))
    {
        "predictions": [2.5, 3.0]
    }
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    in_order = sorted(outputs.items())
    if layout == "columnar":
        return _object({"outputs": _columns(in_order)})
    return _object({"predictions": _rows(in_order)})


def _columns(outputs: Named) -> str:
    tensors = {alias: _nest(_tokens(alias, array), array.shape)[0] for alias, array in outputs}
    return _object(tensors, depth=1) if len(tensors) > 1 else next(iter(tensors.values()))


def _rows(outputs: Named) -> str:
    _check_batch(outputs)
    columns = {alias: _nest(_tokens(alias, array), array.shape, keep=1) for alias, array in outputs}
    if len(columns) == 1:
        return _list(next(iter(columns.values())))
    rows = [
        _object(dict(zip(columns, row, strict=True)), depth=2)
        for row in zip(*columns.values(), strict=True)
    ]
    return f"[\n{2 * _INDENT}" + f",\n{2 * _INDENT}".join(rows) + f"\n{_INDENT}]" if rows else "[]"


def _check_batch(outputs: Named) -> None:
    expected: int | None = None
    for alias, array in outputs:
        if array.ndim == 0:
            raise invalid(f"Tensor name: {alias} has no shape information ")
        if expected is not None and len(array) != expected:
            raise invalid(
                f"Tensor name: {alias} has inconsistent batch size: {len(array)}"
                f" expecting: {expected}"
            )
        expected = len(array)


def _tokens(alias: str, array: Array) -> list[str]:
    """Every element as JSON, in row-major order."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "O":
        write = _base64 if alias.endswith(_BYTES_SUFFIX) else _string
        return [write(value) for value in flat]
    if flat.dtype.kind == "f" and flat.dtype.itemsize <= 8:
        return format_floats(flat.astype(np.float32) if flat.dtype == np.float16 else flat)
    if flat.dtype.kind in "iu":
        return [str(value) for value in flat.tolist()]
    if flat.dtype.kind == "b":
        return ["true" if value else "false" for value in flat.tolist()]
    raise invalid(f"Failed to write JSON value for tensor type: {flat.dtype.name}")


def _string(value: bytes) -> str:
    """Differs from TensorFlow Serving: bytes that are not UTF-8 become U+FFFD, not broken JSON."""
    return json.dumps(value.decode("utf-8", errors="replace"), ensure_ascii=False)


def _base64(value: bytes) -> str:
    return f'{{"b64": "{base64.b64encode(value).decode("ascii")}"}}'


def _nest(tokens: list[str], shape: tuple[int, ...], keep: int = 0) -> list[str]:
    """Brackets around each dimension, the innermost first, but for the first `keep`."""
    for axis in reversed(range(keep, len(shape))):
        size, groups = shape[axis], int(np.prod(shape[:axis], dtype=np.int64))
        tokens = [_list(tokens[index * size : (index + 1) * size]) for index in range(groups)]
    return tokens


def _list(tokens: list[str]) -> str:
    return f"[{', '.join(tokens)}]"


def _object(members: Mapping[str, str], depth: int = 0) -> str:
    """A JSON object on several lines; the values are JSON already."""
    inner = _INDENT * (depth + 1)
    lines = [
        f"{inner}{json.dumps(key, ensure_ascii=False)}: {value}" for key, value in members.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{_INDENT * depth}}}"
