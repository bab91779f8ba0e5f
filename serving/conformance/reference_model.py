"""The model that the cases ask: y = x / 2 + 2, and signatures that give back what they get."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from serving.conformance.cases import VERSION
from serving.models.signature import CLASSIFY, REGRESS

_METHODS = {"regress_x_to_y": REGRESS, "classify_x_to_y": CLASSIFY}
_TYPES = {
    "int_tensor": tf.int32,
    "long_tensor": tf.int64,
    "bool_tensor": tf.bool,
    "float_tensor": tf.float32,
    "dbl_tensor": tf.float64,
    "str_tensor": tf.string,
}


def write(base_path: Path) -> Path:
    """Writes version 123 below `base_path`, replacing one that is there; returns its folder."""
    folder = base_path / f"{VERSION:08d}"  # leading zeros are part of the test
    shutil.rmtree(folder, ignore_errors=True)
    module = HalfPlusTwo()
    tf.saved_model.save(module, str(folder), signatures=module.signatures())
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    for signature, method in _METHODS.items():
        updater.replace_method_name(signature, method, tags="serve")
    updater.save()
    return folder


class HalfPlusTwo(tf.Module):
    """The function of TensorFlow Serving's own test model, under the same signature names."""

    def __init__(self) -> None:
        super().__init__()
        self.a = tf.Variable(0.5, name="a")
        self.b = tf.Variable(2.0, name="b")

    def signatures(self) -> dict[str, Any]:
        """Every signature, traced."""
        column = tf.TensorSpec([None, 1], tf.float32, name="x")
        examples = tf.TensorSpec([None], tf.string, name="inputs")
        traced = {
            "serving_default": _trace(lambda x: {"y": self._line(x)}, column),
            "regress_x_to_y": _trace(lambda inputs: {"outputs": self._parsed(inputs)}, examples),
            "classify_x_to_y": _trace(lambda inputs: {"scores": self._parsed(inputs)}, examples),
            "no_rows": _trace(lambda x: {"y": x[:0]}, _free(tf.float32, "x")),
            "uneven": _trace(lambda x: {"all": x, "first": x[:1]}, _free(tf.float32, "x")),
            "positive": _trace(_only_positive, _free(tf.float32, "x")),
            "bytes": _trace(lambda x: {"x_bytes": x}, _free(tf.string, "x")),
            "all_types": _trace(
                lambda **tensors: {**tensors, "str_tensor_bytes": tensors["str_tensor"]},
                **{name: _free(dtype, name) for name, dtype in _TYPES.items()},
            ),
        }
        for name, dtype in _TYPES.items():
            traced[name] = _trace(lambda x: {"x": x}, _free(dtype, "x"))
        return traced

    def _line(self, x: tf.Tensor) -> tf.Tensor:
        return self.a * x + self.b

    def _parsed(self, serialized: tf.Tensor) -> tf.Tensor:
        features = {"x": tf.io.FixedLenFeature([1], tf.float32)}
        return self._line(tf.io.parse_example(serialized, features)["x"])


def _only_positive(x: tf.Tensor) -> dict[str, tf.Tensor]:
    with tf.control_dependencies([tf.debugging.assert_positive(x, message="x must be positive")]):
        return {"y": tf.sqrt(x)}


def _free(dtype: tf.DType, name: str) -> tf.TensorSpec:
    """A tensor of any shape."""
    return tf.TensorSpec(None, dtype, name=name)


def _trace(function: Callable[..., Any], *specs: Any, **named: Any) -> Any:
    return tf.function(function).get_concrete_function(*specs, **named)
