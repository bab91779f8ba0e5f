"""Warm-up requests: TensorFlow Serving answers them before it says that a model is available.

A request that fails makes the load fail, so they are a gate as well. The file is a TFRecord of
`tensorflow.serving.PredictionLog` messages. Their generated classes come with a package that
nothing else here needs, so the few enclosing fields are written by hand.

References:
    tensorflow/serving: prediction_log.proto, predict.proto, model.proto, saved_model_warmup.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

FILE_NAME = "tf_serving_warmup_requests"

Request = Mapping[str, Any]


def requests(kind: str, context_length: int) -> dict[str, Request]:
    """One row for each signature of a model of this kind.

    The text is about as long as the context where a token is a byte, so that memory is asked for at
    its largest; special tokens and a space that a tokenizer puts in front fit too.
    """
    text = {"text": np.array(["\0" * (context_length - 3)], object)}
    tokens = {"tokens": np.zeros([1, 1], "int32"), "lengths": np.ones([1], "int32")}
    own: dict[str, dict[str, Request]] = {
        "causal_lm": {
            "serving_default": text,
            "generate": {**text, **_settings()},
            "score": text,
            "logits": tokens,
        },
        "encoder_decoder": {
            "serving_default": text,
            "translate": text,
            "score": {"source": text["text"], "target": text["text"]},
        },
        "masked_lm": {"serving_default": text, "encode": text},
    }
    return {**own[kind], "tokenize": text, "detokenize": tokens}


def _settings() -> Request:
    return {
        "temperature": np.ones([1], "float32"),
        "top_k": np.array([2], "int32"),
        "top_p": np.array([0.5], "float32"),
        "min_p": np.array([0.1], "float32"),
        "repetition_penalty": np.array([1.1], "float32"),
        "max_new_tokens": np.array([2], "int32"),
        "seed": np.zeros([1], "int32"),
        "stop": np.array([["\0"]], object),
    }


def write(folder: Path, requests: Mapping[str, Request]) -> None:
    """Writes the requests, by signature name, to the folder `assets.extra`."""
    with tf.io.TFRecordWriter(str(folder / FILE_NAME)) as writer:
        for signature, inputs in requests.items():
            writer.write(prediction_log(signature, inputs))


def prediction_log(signature: str, inputs: Request) -> bytes:
    """A serialized PredictionLog: field 6, PredictLog; its field 1, PredictRequest."""
    model_spec = _field(3, signature.encode())
    entries = [
        _field(1, alias.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString())
        for alias, value in inputs.items()
    ]
    request = _field(1, model_spec) + b"".join(_field(2, entry) for entry in entries)
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field in Protocol Buffers' wire format."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
