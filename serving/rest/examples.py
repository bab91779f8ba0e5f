"""Requests to classify and regress: JSON objects to serialized `tf.train.Example`s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from serving.errors import invalid
from serving.rest.arrays import is_base64, to_array, to_bytes
from serving.rest.json_text import show, type_name

Array = np.ndarray[Any, Any]

_INT64_END = 2**63


def decode(document: Mapping[str, Any]) -> Array:
    """The serialized examples of a request, each with the common context merged in.

    Returns:
        `bytes` objects, one dimension.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {show(document)} When method is classify, key 'examples' is expected"
            " and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(
            f"JSON Value: {show(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid(f"JSON Value: {show(document)} 'examples' value is an empty array")
    array = np.empty(len(examples), dtype=object)
    array[:] = [context + _example(example) for example in examples]  # protos merge end to end
    return array


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    for name in value:
        to_bytes(name)  # refuses half surrogate pairs, which no proto can hold
    features = {name: _feature(name, content) for name, content in value.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


def _feature(name: str, content: Any) -> Any:
    """A list of one kind; the first element decides which."""
    values = content if isinstance(content, list) else [content]
    kinds = [_kind(name, value) for value in values]
    if len(set(kinds)) > 1:
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {kinds[0]}")
    if not kinds:
        return tf.train.Feature()
    if kinds[0] == "bytes":
        items = [to_bytes(value) for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=items))
    if kinds[0] == "float":
        floats = to_array(values, "float")
        return tf.train.Feature(float_list=tf.train.FloatList(value=floats))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=map(int, values)))


def _kind(name: str, value: Any) -> str:
    if isinstance(value, str) or is_base64(value):
        return "bytes"
    if isinstance(value, float):
        return "float"
    if isinstance(value, int):  # booleans too
        if not -_INT64_END <= value < _INT64_END:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
        return "int64"
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
