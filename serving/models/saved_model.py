"""A SavedModel in memory, run as TensorFlow Serving runs it: graph and session, no Python objects.

A session rather than `tf.saved_model.load`, because it takes inputs of any shape, stops at a
deadline, cancels what still runs when it is closed, and loads in a fraction of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the ops of tokenizing models
from tensorflow.core.protobuf import config_pb2

from serving.errors import Code, ServingError, from_tensorflow
from serving.models.signature import Signature, TensorSpec

Array = np.ndarray[Any, Any]

_VARIABLE_OPS = {"VarHandleOp", "VariableV2", "Variable"}


class SavedModel:
    """One loaded version.

    Args:
        folder: Holds `saved_model.pb`.
        timeout_seconds: Longest run.

    Raises:
        ServingError: The folder holds no complete, loadable SavedModel tagged `serve`.
    """

    def __init__(self, folder: Path, timeout_seconds: float) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=_session_config())
        try:
            meta_graph = _load(self._session, folder)
            self.signature_defs = dict(meta_graph.signature_def)
            self.signatures = dict(_signatures(self.signature_defs))
            self._runs = {
                name: self._callable(signature, timeout_seconds)
                for name, signature in self.signatures.items()
            }
        except BaseException:
            self._session.close()
            raise

    def _callable(self, signature: Signature, timeout_seconds: float) -> Any:
        options = config_pb2.CallableOptions(
            feed=[spec.name for spec in signature.inputs.values()],
            fetch=_fetches(signature),
            run_options=config_pb2.RunOptions(timeout_in_ms=int(timeout_seconds * 1000)),
        )
        # The public `make_callable` compares shapes before it feeds; TensorFlow Serving does not.
        return self._session._make_callable_from_options(options)

    def run(self, signature: Signature, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for `inputs`, by alias; the interpreter is free for others meanwhile.

        Args:
            signature: One of `signatures`.
            inputs: An array for each input; strings are arrays of `bytes`.

        Raises:
            ServingError: What the model reports, in one line.
        """
        feeds = [inputs[alias] for alias in signature.inputs]
        try:
            values = self._runs[signature.name](*feeds)
        except tf.errors.DeadlineExceededError:
            raise ServingError(
                Code.DEADLINE_EXCEEDED, "the model did not finish within the time allowed"
            ) from None
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from None
        by_name = dict(zip(_fetches(signature), values, strict=True))
        return {alias: _array(by_name[spec.name]) for alias, spec in signature.outputs.items()}

    def close(self) -> None:
        """Frees the memory; whatever still runs is cancelled."""
        self._session.close()


def _session_config() -> Any:
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    # A signature is one call of a function, which is optimised by itself on its first run. To
    # optimise the graph around it as well takes a second a signature and makes nothing faster.
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


def _load(session: Any, folder: Path) -> Any:
    """Reads graph, variables and tables into the session; returns the MetaGraphDef."""
    try:
        with _quiet():
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from None
    except Exception as error:  # a torn file surfaces as anything, from DecodeError to KeyError
        reason = str(error).strip().partition("\n")[0]
        raise ServingError(Code.UNKNOWN, f"{type(error).__name__}: {reason}") from None
    has_variables = any(node.type in _VARIABLE_OPS for node in session.graph.get_operations())
    if has_variables and not (folder / "variables" / "variables.index").exists():
        raise ServingError(Code.NOT_FOUND, "variables/variables.index is missing")
    return meta_graph


@contextmanager
def _quiet() -> Iterator[None]:
    """The loader calls itself deprecated in favour of the one this module avoids."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _signatures(definitions: Mapping[str, Any]) -> Iterator[tuple[str, Signature]]:
    """The signatures made of plain tensors; sparse and composite ones cannot be asked for."""
    for name, definition in definitions.items():
        if name == "__saved_model_init_op":
            continue
        tensors = [*definition.inputs.values(), *definition.outputs.values()]
        if all(tensor.WhichOneof("encoding") == "name" for tensor in tensors):
            inputs, outputs = _specs(definition.inputs), _specs(definition.outputs)
            yield name, Signature(name, definition.method_name, inputs, outputs)


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {alias: _spec(infos[alias]) for alias in sorted(infos)}


def _spec(info: Any) -> TensorSpec:
    dtype = tf.dtypes.as_dtype(info.dtype).name
    shape = info.tensor_shape
    dimensions = None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
    return TensorSpec(info.name, _SERVING_NAMES.get(dtype, dtype), dimensions)


#: TensorFlow's C++ names, which error messages use, where Python's differ.
_SERVING_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


def _fetches(signature: Signature) -> Sequence[str]:
    """The tensors behind the outputs, each once though two aliases may share it."""
    return list(dict.fromkeys(spec.name for spec in signature.outputs.values()))


def _array(value: Any) -> Array:
    """A session gives scalar strings as plain `bytes`, whose trailing NULs NumPy would drop."""
    return np.asarray(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)
