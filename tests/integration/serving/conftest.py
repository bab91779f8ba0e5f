"""Real SavedModels behind a real server, asked over loopback."""

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import tensorflow as tf

from serving.conformance import reference_model
from serving.conformance.cases import LABEL, NAME, VERSION
from serving.server import start_in_background
from serving.settings import Settings


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        assert set(self.json) == {"error"}, self.text
        return self.json["error"]


def _ask(url, path, body=None, *, method=None, headers=None, timeout=30):
    """One request on its own connection; a body that is not bytes or text becomes JSON."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    if body is not None and not isinstance(body, bytes | str):
        body = json.dumps(body)
    method = method or ("GET" if body is None else "POST")
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read().decode())
    finally:
        connection.close()


@pytest.fixture(scope="session")
def ask():
    """`ask(url, path, body=None, ...) -> Answer`."""
    return _ask


@pytest.fixture(scope="session")
def reference_folder(tmp_path_factory):
    """The conformance model."""
    base = tmp_path_factory.mktemp("reference")
    reference_model.write(base)
    return base


@pytest.fixture(scope="session")
def reference_server(reference_folder):
    """A server of the conformance model, as the cases want it."""
    settings = Settings(labels={LABEL: VERSION})
    with start_in_background(reference_folder, NAME, settings=settings) as url:
        yield url


class Constant(tf.Module):
    """Answers a number to whatever it is asked."""

    def __init__(self, value):
        super().__init__()
        self.value = tf.Variable(value, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def answer(self, x):
        return {"y": tf.zeros_like(x) + self.value}


@pytest.fixture(scope="session")
def write_version():
    """`write_version(base, number)`: a complete version that answers its own number."""

    def write(base, number):
        module = Constant(float(number))
        folder = base / str(number)
        tf.saved_model.save(module, str(folder), signatures=module.answer)
        return folder

    return write


class Meeting(tf.Module):
    """`take` waits inside the model until `put` brings a number: two requests must meet.

    The queue lives in the session under a shared name, so the order of events is the test's, not
    the clock's.
    """

    def __init__(self):
        super().__init__()
        self.unused = tf.Variable(0.0)  # a SavedModel without variables has no index

    def _queue(self):
        return tf.raw_ops.FIFOQueueV2(
            component_types=[tf.float32], shapes=[[]], shared_name="meeting"
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def take(self, x):
        (value,) = tf.raw_ops.QueueDequeueV2(handle=self._queue(), component_types=[tf.float32])
        return {"y": x + value}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def put(self, x):
        enqueue = tf.raw_ops.QueueEnqueueV2(handle=self._queue(), components=[x[0]])
        with tf.control_dependencies([enqueue]):
            return {"y": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def echo(self, x):
        return {"y": tf.identity(x)}


@pytest.fixture(scope="session")
def meeting_folder(tmp_path_factory):
    """A model whose requests can wait for each other."""
    base = tmp_path_factory.mktemp("meeting")
    module = Meeting()
    signatures = {"serving_default": module.echo, "take": module.take, "put": module.put}
    tf.saved_model.save(module, str(base / "1"), signatures=signatures)
    return base


@pytest.fixture(scope="session")
def wait_until():
    """`wait_until(condition)`: polls until it holds; fails after 30 seconds."""

    def wait(condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)

    return wait
