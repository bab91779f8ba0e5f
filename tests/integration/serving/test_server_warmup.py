"""Recorded requests run before a version is served; the export's own writer makes them."""

import logging
import shutil

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.errors import UserError
from llm_keras.export import warmup as written
from serving.errors import ServingError
from serving.models.manager import ModelManager
from serving.models.saved_model import SavedModel
from serving.models.warmup import warm_up
from serving.settings import Settings

GOOD = {"x": np.float32([1.0, 4.0])}


@pytest.fixture
def folder(reference_folder, tmp_path):
    """Version 123 with a place for warm-up requests."""
    copied = shutil.copytree(reference_folder / "00000123", tmp_path / "123")
    (copied / "assets.extra").mkdir(exist_ok=True)
    return copied


@pytest.fixture
def model(folder):
    model = SavedModel(folder / ".", timeout_seconds=10)
    yield model
    model.close()


def test_requests_reach_the_model(model, folder, monkeypatch):
    """Every record, with its signature and tensors."""
    texts = {"x": np.array(["a", "b\0"], object)}
    written.write(folder / "assets.extra", {"positive": GOOD, "str_tensor": texts})
    seen = []
    run = model.run
    monkeypatch.setattr(
        model,
        "run",
        lambda signature, inputs: seen.append((signature.name, inputs)) or run(signature, inputs),
    )
    assert warm_up(model, folder) == 2
    (first, numbers), (second, strings) = seen
    assert (first, second) == ("positive", "str_tensor")
    np.testing.assert_array_equal(numbers["x"], GOOD["x"])
    assert strings["x"].tolist() == [b"a", b"b\0"]


def test_no_file_is_fine(model, folder):
    """Most models have none."""
    assert warm_up(model, folder) == 0


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        (
            {"positive": {"x": np.float32([-1.0])}},
            "warm-up request 1 for positive: assertion failed",
        ),
        ({"absent": GOOD}, 'warm-up request 1: signature "absent" not found'),
        ({"positive": {"z": GOOD["x"]}}, "expected inputs ['x'], got ['z']"),
    ],
)
def test_a_failing_request_fails_the_version(folder, requests, message):
    """It is a gate: the version is not served, and the reason is told."""
    written.write(folder / "assets.extra", requests)
    with pytest.raises(UserError) as caught:
        ModelManager("model", folder.parent, Settings()).start()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    trusting = ModelManager("model", folder.parent, Settings(warm_up=False))
    assert trusting.start() == 123
    trusting.stop()


@pytest.mark.parametrize(("count", "fails"), [(1000, False), (1001, True)])
def test_a_thousand_requests_are_the_limit(model, folder, monkeypatch, count, fails):
    """As in TensorFlow Serving."""
    record = written.prediction_log("positive", GOOD)
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / written.FILE_NAME)) as writer:
        for _ in range(count):
            writer.write(record)
    monkeypatch.setattr(model, "run", lambda signature, inputs: {})
    if fails:
        with pytest.raises(ServingError, match="exceeds the maximum"):
            warm_up(model, folder)
    else:
        assert warm_up(model, folder) == count


@pytest.mark.parametrize("damage", ["cut", "not a record", "not a log"])
def test_a_damaged_file_fails_the_version(model, folder, damage):
    """Cut in a record, no TFRecord at all, and a record that is something else."""
    path = folder / "assets.extra" / written.FILE_NAME
    if damage == "not a log":
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(b"\xff" * 30)
    else:
        written.write(path.parent, {"positive": GOOD})
        path.write_bytes(path.read_bytes()[:-3] if damage == "cut" else b"x" * 40)
    with pytest.raises(ServingError, match="tf_serving_warmup_requests is damaged"):
        warm_up(model, folder)


def test_other_kinds_of_requests_are_left_out(model, folder, caplog):
    """Only predict is run; a classify log (field 2) is named in the log."""
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / written.FILE_NAME)) as writer:
        writer.write(b"\x12\x00")
    with caplog.at_level(logging.WARNING):
        assert warm_up(model, folder) == 1
    assert "warm-up request 1 is not for predict" in caplog.text
