"""Warm-up records, read back by Protocol Buffers itself."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

from llm_keras.export import warmup

#: Field by field as in TensorFlow Serving's prediction_log.proto, predict.proto and model.proto.
MESSAGES = {
    "ModelSpec": [("name", 1, "string"), ("signature_name", 3, "string")],
    "Input": [("key", 1, "string"), ("value", 2, "tensorflow.TensorProto")],
    "PredictRequest": [("model_spec", 1, "warmup.ModelSpec"), ("inputs", 2, "warmup.Input")],
    "PredictLog": [("request", 1, "warmup.PredictRequest")],
    "PredictionLog": [("predict_log", 6, "warmup.PredictLog")],
}


@pytest.fixture(scope="module")
def prediction_log():
    """The message class, made from the table above."""
    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="warmup")
    file.syntax = "proto3"
    file.dependency.append(tensor_pb2.DESCRIPTOR.name)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            added = message.field.add(name=field, number=number)
            added.label = 3 if field == "inputs" else 1  # repeated: a map is a list of entries
            added.type = 9 if kind == "string" else 11
            if kind != "string":
                added.type_name = "." + kind
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("warmup.PredictionLog"))


@pytest.mark.parametrize("kind", ["causal_lm", "encoder_decoder", "masked_lm"])
def test_records_parse_as_prediction_logs(prediction_log, tmp_path, kind):
    """Signature names and every input come back, with types and shapes."""
    requests = warmup.requests(kind, context_length=300)
    warmup.write(tmp_path, requests)
    path = tmp_path / "tf_serving_warmup_requests"
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log.FromString(record.numpy())
        assert log.SerializeToString() == record.numpy()  # nothing was an unknown field
        request = log.predict_log.request
        found[request.model_spec.signature_name] = {
            entry.key: tf.make_ndarray(entry.value) for entry in request.inputs
        }
    assert list(found) == list(requests)
    for signature, inputs in requests.items():
        assert list(found[signature]) == list(inputs)
        for name, value in inputs.items():
            read = found[signature][name]
            assert read.dtype == value.dtype
            assert read.shape == value.shape
            if read.dtype == object:
                read = np.array([text.decode() for text in read.flat], object).reshape(read.shape)
            assert read.tolist() == value.tolist()


def test_the_text_leaves_room_for_three_tokens():
    """Bos, a space that some tokenizers put in front, and eos or one new token."""
    text = warmup.requests("causal_lm", context_length=300)["generate"]["text"]
    assert [len(row) for row in text] == [297]
