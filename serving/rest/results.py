"""Answers to classify and regress: which signatures serve them, and their outputs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from serving.errors import Code, ServingError, invalid
from serving.models.signature import CLASSIFY, REGRESS, Signature
from serving.rest.numbers import format_floats

Array = np.ndarray[Any, Any]

_NOUNS = {CLASSIFY: "classification", REGRESS: "regression"}


def check(signature: Signature | None, name: str, method: str) -> Signature:
    """The signature, if it exists and serves `method`.

    Raises:
        ServingError: INVALID_ARGUMENT or FAILED_PRECONDITION.
    """
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    noun = _NOUNS[method]
    if signature.method_name != method:
        raise invalid(
            f"Expected {noun} signature method_name to be {method}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if "inputs" not in signature.inputs:
        raise ServingError(
            Code.FAILED_PRECONDITION, f"No {noun} inputs found in SignatureDef: {name}"
        )
    wanted = {"classes", "scores"} if method == CLASSIFY else {"outputs"}
    if not wanted & set(signature.outputs):
        raise ServingError(
            Code.FAILED_PRECONDITION, f"No {noun} outputs found in SignatureDef: {name}"
        )
    return signature


def encode_classes(outputs: Mapping[str, Array], batch_size: int) -> str:
    """`[label, score]` pairs for each example; a missing label is "", a missing score 0."""
    classes, scores = outputs.get("classes"), outputs.get("scores")
    shapes = {array.shape for array in (classes, scores) if array is not None}
    shape = shapes.pop()
    if shapes or len(shape) != 2 or shape[0] != batch_size:
        raise invalid(
            f"Expected Tensor shape: [batch_size num_classes] but got {sorted({shape, *shapes})}"
        )
    labels = ["" if classes is None else _label(value) for value in _flat(classes, shape)]
    values = format_floats(_flat(scores, shape).astype(np.float32))
    pairs = [
        f"[{json.dumps(label, ensure_ascii=False)}, {value}]"
        for label, value in zip(labels, values, strict=True)
    ]
    width = shape[1]
    rows = [", ".join(pairs[index * width : (index + 1) * width]) for index in range(batch_size)]
    return _results(f"[{row}]" for row in rows)


def encode_values(outputs: Mapping[str, Array], batch_size: int) -> str:
    """One value for each example."""
    values = outputs["outputs"]
    if values.shape not in ((batch_size,), (batch_size, 1)) or values.dtype != np.float32:
        raise invalid(
            f"Expected float output of shape [{batch_size}] or [{batch_size}, 1] but got"
            f" {values.dtype.name} of shape {list(values.shape)}"
        )
    return _results(format_floats(values.reshape(-1)))


def _results(items: Iterable[str]) -> str:
    return f'{{\n    "results": [{", ".join(items)}]\n}}'


def _flat(array: Array | None, shape: tuple[int, ...]) -> Array:
    return np.zeros(shape, np.float32).reshape(-1) if array is None else array.reshape(-1)


def _label(value: Any) -> str:
    if not isinstance(value, bytes):
        raise invalid("Expected classes Tensor of DT_STRING.")
    return value.decode("utf-8", errors="replace")
