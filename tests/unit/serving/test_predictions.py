"""Tensors to JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.errors import ServingError
from serving.rest import numbers, predictions


@given(hnp.arrays(np.float32, st.integers(0, 20)))
def test_float32_reads_back_exactly(values):
    """Whatever the bits, the text denotes the same number, and is never an integer."""
    texts = numbers.format_floats(values)
    np.testing.assert_array_equal(np.array([float(text) for text in texts], np.float32), values)
    assert all(isinstance(json.loads(text), float) for text in texts)


@given(hnp.arrays(np.float64, st.integers(0, 20)))
def test_float64_reads_back_exactly(values):
    """As for float32, with up to 17 digits."""
    texts = numbers.format_floats(values)
    np.testing.assert_array_equal(np.array([float(text) for text in texts]), values)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9000000, "9e+06"),
        (999999, "999999.0"),
        (0.0003, "0.0003"),
        (0.00003, "3e-05"),
        (555557.5, "555557.5"),
        (0.2, "0.2"),
        (-0.0, "-0.0"),
        (16777216, "16777216.0"),
    ],
)
def test_numbers_as_tensorflow_serving_writes_them(value, text):
    """From TensorFlow Serving's own tests, and the edges of six digits."""
    assert numbers.format_floats(np.float32([value])) == [text]


@given(
    hnp.arrays(
        st.sampled_from([np.int8, np.uint8, np.int32, np.int64, np.uint64, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3),
    )
)
def test_nesting_equals_numpy(array):
    """`tolist` is the oracle, for any shape with empty dimensions too."""
    row = json.loads(predictions.encode({"x": array}, "row"))
    column = json.loads(predictions.encode({"x": array}, "columnar"))
    assert row == {"predictions": array.tolist()}
    assert column == {"outputs": array.tolist()}


def test_several_outputs_are_objects_by_name():
    """One object a row, or one object of whole tensors, readable without a formatter."""
    outputs = {"text": np.array([b"hi"], object), "length": np.int32([2])}
    assert predictions.encode(outputs, "row") == (
        '{\n    "predictions": [\n        {\n            "length": 2,\n'
        '            "text": "hi"\n        }\n    ]\n}'
    )
    assert json.loads(predictions.encode(outputs, "columnar")) == {
        "outputs": {"length": [2], "text": ["hi"]}
    }
    empty = {alias: array[:0] for alias, array in outputs.items()}
    assert json.loads(predictions.encode(empty, "row")) == {"predictions": []}


def test_bytes_that_are_not_text_stay_valid_json():
    """A replacement character in text; exact under an alias that says bytes."""
    value = np.array([b'\xff\n"'], object)
    assert json.loads(predictions.encode({"x": value}, "row")) == {"predictions": ['\ufffd\n"']}
    as_bytes = json.loads(predictions.encode({"x_bytes": value}, "row"))
    assert as_bytes == {"predictions": [{"b64": "/woi"}]}


def test_half_precision_is_written_as_float():
    """float16 has no format of its own."""
    written = predictions.encode({"x": np.float16([0.1, 65504])}, "row")
    assert json.loads(written) == {"predictions": [0.0999755859, 65504.0]}


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"x": np.float32(1)}, "Tensor name: x has no shape information"),
        (
            {"a": np.zeros(2), "b": np.zeros(1)},
            "Tensor name: b has inconsistent batch size: 1 expecting: 2",
        ),
        ({"x": np.complex64([1])}, "Failed to write JSON value for tensor type: complex64"),
    ],
)
def test_what_rows_cannot_hold(outputs, message):
    """The four failures of TensorFlow Serving's writer."""
    with pytest.raises(ServingError) as caught:
        predictions.encode(outputs, "row")
    assert message in caught.value.message
