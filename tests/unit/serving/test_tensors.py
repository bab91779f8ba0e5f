"""JSON to tensors: values, types and shapes; messages are in the conformance cases."""

import numpy as np
import pytest

from serving.errors import Code, ServingError
from serving.models.signature import TensorSpec
from serving.rest import arrays, tensors


def specs(**dtypes):
    return {alias: TensorSpec(f"{alias}:0", dtype) for alias, dtype in dtypes.items()}


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("float", [[1, 2.5]], np.float32([[1, 2.5]])),
        ("float", 16777217, np.float32(16777216)),
        ("double", [16777217, 1e300], np.float64([16777217, 1e300])),
        ("double", 10**30, np.float64(1e30)),
        ("int8", [-128, 127], np.int8([-128, 127])),
        ("uint8", [0, 255], np.uint8([0, 255])),
        ("int16", [-32768], np.int16([-32768])),
        ("uint32", [2**32 - 1], np.uint32([2**32 - 1])),
        ("uint64", [2**64 - 1], np.uint64([2**64 - 1])),
        ("int64", [-(2**63)], np.int64([-(2**63)])),
        ("bool", [[True], [False]], np.array([[True], [False]])),
        ("int32", [], np.zeros([0], np.int32)),
        ("int32", [[], []], np.zeros([2, 0], np.int32)),
    ],
)
def test_to_array(dtype, value, expected):
    """Type and shape follow the signature and the nesting."""
    array = arrays.to_array(value, dtype)
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int8", 128),
        ("uint8", -1),
        ("uint32", 2**32),
        ("uint64", -1),
        ("int64", 2**63),
        ("int32", True),
        ("int32", 1.0),
        ("int32", float("nan")),
        ("float", "1"),
        ("bool", 1),
        ("string", None),
        ("float", {"b64": "AAAA"}),
        ("string", {"b64": "AAAA", "x": 1}),
        ("string", {"b64": 1}),
        ("float", 1e39),
        ("double", 10**400),
        ("string", "\ud800"),
        ("float", [[[]]] * 2 + [[1]]),
    ],
)
def test_to_array_is_strict(dtype, value):
    """No silent conversion, overflow or wrapping."""
    with pytest.raises(ServingError) as caught:
        arrays.to_array(value, dtype)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_type_without_json_form_is_unimplemented():
    """Complex numbers exist in TensorFlow only."""
    with pytest.raises(ServingError, match="to type: complex64") as caught:
        arrays.to_array([1], "complex64")
    assert caught.value.http_status == 501


@pytest.mark.parametrize("depth", [63, 64, 900])
def test_nesting_deeper_than_numpy_can_hold_is_refused(depth):
    """63 dimensions and the batch are the limit."""
    value = 1
    for _ in range(depth):
        value = [value]
    if depth == 63:
        assert arrays.to_array(value, "int32").ndim == 63
    with pytest.raises(ServingError, match="unexpected level"):
        tensors.decode({"instances": [value]}, specs(x="int32"))


def test_strings_keep_every_byte():
    """NumPy's own string type would drop trailing NULs."""
    values = ["a\0", {"b64": "AP8A"}, "é"]
    array = arrays.to_array(values, "string")
    assert array.tolist() == [b"a\0", b"\0\xff\0", "é".encode()]


@pytest.mark.parametrize("text", ["aGk=", "aGk", " aG\nk= "])
def test_base64_may_lack_padding(text):
    """As absl's decoder, which also skips white space."""
    assert arrays.to_bytes({"b64": text}) == b"hi"


def test_rows_and_columns_give_the_same_tensors():
    """The layouts differ only in how they are written."""
    inputs = specs(a="int32", s="string")
    rows = {"instances": [{"a": [1, 2], "s": "x"}, {"s": "y", "a": [3, 4]}]}
    columns = {"inputs": {"a": [[1, 2], [3, 4]], "s": ["x", "y"]}}
    row_layout, by_rows = tensors.decode(rows, inputs)
    column_layout, by_columns = tensors.decode(columns, inputs)
    assert (row_layout, column_layout) == ("row", "columnar")
    for alias in inputs:
        np.testing.assert_array_equal(by_rows[alias], by_columns[alias])


def test_the_failing_row_is_named():
    """Row 2 of input s, with the reason of the strict conversion."""
    rows = [{"a": 1, "s": "x"}, {"a": 1, "s": "x"}, {"a": 1, "s": 5}]
    with pytest.raises(ServingError) as caught:
        tensors.decode({"instances": rows}, specs(a="int32", s="string"))
    assert caught.value.message == (
        "Failed to process element: 2 key: s of 'instances' list. Error: INVALID_ARGUMENT:"
        " JSON Value: 5 Type: Number is not of expected type: string"
    )
