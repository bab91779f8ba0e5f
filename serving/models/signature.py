"""What a SavedModel offers: named inputs and outputs, without TensorFlow's protos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_SIGNATURE = "serving_default"
PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Args:
        name: The tensor's name in the graph, as `serving_default_text:0`.
        dtype: TensorFlow's name of the type: `float`, `int32`, `string`, ...
        shape: Dimensions, -1 where free; None if the rank is free. Requests are not checked against
            it, as in TensorFlow Serving: the model itself decides.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """One function of a SavedModel, by the aliases that requests use."""

    name: str
    method_name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
