"""The input tensors of a predict request: rows (`instances`) or whole tensors (`inputs`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from serving.errors import ServingError, invalid
from serving.models.signature import TensorSpec
from serving.rest.arrays import Array, is_base64, to_array
from serving.rest.json_text import show

Arrays = dict[str, Array]
Layout = Literal["row", "columnar"]


def decode(document: Mapping[str, Any], inputs: Mapping[str, TensorSpec]) -> tuple[Layout, Arrays]:
    """The input tensors of a predict request.

    Args:
        document: The parsed body, with either `instances` (rows, batched here) or `inputs`
            (whole tensors).
        inputs: The signature's inputs, by alias.

    Returns:
        Which of the two it was, and an array for each input; strings are arrays of `bytes`.

    Raises:
        ServingError: INVALID_ARGUMENT, or UNIMPLEMENTED for a type that JSON cannot carry.
    """
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {show(document)} Not formatted correctly expecting only one of"
            " 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        return "row", _rows(document, inputs)
    if "inputs" in document:
        return "columnar", _columns(document["inputs"], inputs)
    raise invalid("Missing 'inputs' or 'instances' key")


def _rows(document: Mapping[str, Any], inputs: Mapping[str, TensorSpec]) -> Arrays:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {show(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {show(document)} No values in 'instances' array")
    if _is_record(rows[0]):
        return _named_rows(rows, inputs)
    if len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple"
            " input tensors required as per tensorinfo_map"
        )
    for index, row in enumerate(rows):
        if _is_record(row):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
    (alias,) = inputs
    return {alias: _batch(rows, inputs[alias].dtype, key="")}


def _named_rows(rows: list[Any], inputs: Mapping[str, TensorSpec]) -> Arrays:
    for index, row in enumerate(rows):
        if not _is_record(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        unknown = next((name for name in row if name not in inputs), None)
        if unknown is not None:
            raise _failed(
                index,
                f" key: {unknown}",
                invalid(f"JSON object: does not have named input: {unknown}"),
            )
        if len(row) != len(inputs):
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object:"
                f" {show(row)} keys must be equal to: {','.join(sorted(inputs))}"
            )
    return {
        alias: _batch([row[alias] for row in rows], spec.dtype, key=f" key: {alias}")
        for alias, spec in inputs.items()
    }


def _columns(value: Any, inputs: Mapping[str, TensorSpec]) -> Arrays:
    if not _is_record(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple"
                " input tensors required as per tensorinfo_map"
            )
        (alias,) = inputs
        return {alias: to_array(value, inputs[alias].dtype)}
    for alias in inputs:
        if alias not in value:
            raise invalid(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: to_array(value[alias], spec.dtype) for alias, spec in inputs.items()}


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _batch(values: list[Any], dtype: str, key: str) -> Array:
    """Values of one shape as one array; if they differ, the error names the first that does."""
    try:
        return to_array(values, dtype)
    except ServingError as whole:
        first: tuple[int, ...] | None = None
        for index, value in enumerate(values):
            try:
                array = to_array(value, dtype)
                first = array.shape if first is None else first
                _check_like(array, first)
            except ServingError as error:
                raise _failed(index, key, error) from None
        raise whole from None


def _check_like(array: Array, first: tuple[int, ...]) -> None:
    expected = int(np.prod(first, dtype=np.int64))
    if array.size != expected:
        raise invalid(f"Expecting tensor size: {expected} but got: {array.size}")
    if array.shape != first:
        raise invalid(f"Expecting shape {_brackets(first)} but got: {_brackets(array.shape)}")


def _brackets(shape: Iterable[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _failed(index: int, key: str, error: ServingError) -> ServingError:
    return ServingError(
        error.code, f"Failed to process element: {index}{key} of 'instances' list. Error: {error}"
    )
