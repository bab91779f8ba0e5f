"""Warm-up: a version answers its own recorded requests before it is served.

The first run of a signature optimises its graph, which takes a while; and a version that fails its
own requests is better not served at all. The file is TensorFlow Serving's.

References:
    tensorflow/serving: prediction_log.proto, predict.proto, model.proto, saved_model_warmup.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from google.protobuf import (  # type: ignore[import-untyped]  # comes without types
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
)
from tensorflow.core.framework import tensor_pb2

from serving.errors import Code, ServingError, invalid
from serving.models.signature import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from serving.models.saved_model import SavedModel

logger = logging.getLogger(__name__)

_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_LARGEST_COUNT = 1000
#: Message -> field -> number and type; the few of TensorFlow Serving's that lead to the tensors.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "PredictionLog": {"predict_log": (6, "PredictLog")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "Entry")},
    "ModelSpec": {"signature_name": (3, "string")},
    "Entry": {"key": (1, "string"), "value": (2, "bytes")},
}


def warm_up(model: SavedModel, folder: Path) -> int:
    """Runs the requests recorded in a version's folder; returns how many there were.

    Args:
        model: The loaded version.
        folder: Its folder.

    Raises:
        ServingError: A request failed, or there are more than 1,000.
    """
    count = 0
    for count, log in enumerate(_logs(folder / _FILE), start=1):
        if count > _LARGEST_COUNT:
            raise invalid(f"Number of warmup records exceeds the maximum ({_LARGEST_COUNT})")
        if log.HasField("predict_log"):
            _run(model, log.predict_log.request, count)
        else:
            logger.warning("warm-up request %d is not for predict and was left out", count)
    return count


def _run(model: SavedModel, request: Any, number: int) -> None:
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise invalid(f'warm-up request {number}: signature "{name}" not found')
    inputs = {entry.key: _array(entry.value) for entry in request.inputs}
    if set(inputs) != set(signature.inputs):
        raise invalid(
            f"warm-up request {number} for {name}: expected inputs {sorted(signature.inputs)},"
            f" got {sorted(inputs)}"
        )
    try:
        model.run(signature, inputs)
    except ServingError as error:
        problem = f"warm-up request {number} for {name}: {error.message}"
        raise ServingError(error.code, problem) from None


def _array(serialized: bytes) -> Any:
    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(serialized))


def _logs(path: Path) -> Iterator[Any]:
    if not path.is_file():
        return
    log_class = _classes()["PredictionLog"]
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield log_class.FromString(record)
    except (tf.errors.DataLossError, message.DecodeError):
        raise ServingError(Code.DATA_LOSS, f"{path.name} is damaged") from None


def _classes() -> dict[str, Any]:
    """Message classes made here: TensorFlow Serving's own come with a package of their own."""
    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="warmup")
    kinds = {"string": 9, "bytes": 12}
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = 3 if kind == "Entry" else 1  # repeated, optional
            added = described.field.add(name=field, number=number, label=label)
            added.type = kinds.get(kind, 11)
            if kind not in kinds:
                added.type_name = f".warmup.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"warmup.{name}"))
        for name in _MESSAGES
    }
