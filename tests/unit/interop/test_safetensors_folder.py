"""Folders of safetensors are read as the `safetensors` package wrote them, or refused."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from llm_keras.errors import UserError
from llm_keras.interop import safetensors_folder

RANDOM = np.random.default_rng(1)
VALUES = RANDOM.normal(size=(3, 5)).astype(np.float32)


def _write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _entry(shape=(2,), begin=0, end=8, dtype="F32"):
    return {"t": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_each_float_type_comes_as_float32(tmp_path, dtype):
    """The package converts bfloat16 by its own code, with ml_dtypes."""
    stored = VALUES.astype(dtype)
    save_file({"a": stored, "b": stored[:1], "none": stored[:0]}, tmp_path / "model.safetensors")
    tensors = safetensors_folder.read_folder(tmp_path)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "a": (3, 5), "b": (1, 5), "none": (0, 5)
    }  # fmt: skip
    for name, whole in (("a", stored), ("b", stored[:1])):
        value = tensors[name].read()
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, whole.astype(np.float32))


def test_another_type_is_refused_by_name_when_it_is_read(tmp_path):
    """A mask of integers does no harm while nobody needs it."""
    save_file({"mask": np.ones(3, np.int64)}, tmp_path / "model.safetensors")
    tensors = safetensors_folder.read_folder(tmp_path)
    with pytest.raises(UserError, match="tensor mask has type I64; expected one of F32, F16, BF16"):
        tensors["mask"].read()


def test_shards_are_one(tmp_path):
    """Each tensor is taken from the file that the index names."""
    save_file({"a": VALUES}, tmp_path / "one.safetensors")
    save_file({"b": VALUES + 1, "unlisted": VALUES}, tmp_path / "two.safetensors")
    weight_map = {"a": "one.safetensors", "b": "two.safetensors"}
    _index(tmp_path, weight_map)
    tensors = safetensors_folder.read_folder(tmp_path)
    assert sorted(tensors) == ["a", "b"]
    np.testing.assert_array_equal(tensors["b"].read(), VALUES + 1)


def _index(folder, weight_map):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize(
    "file", ["../a.safetensors", "/etc/passwd", "", "..", "sub/a.safetensors", 3]
)
def test_an_index_cannot_leave_its_folder(tmp_path, file):
    """Only names of files in the folder itself are followed."""
    save_file({"a": VALUES}, tmp_path / "a.safetensors")
    (tmp_path / "folder").mkdir()
    _index(tmp_path / "folder", {"a": file})
    with pytest.raises(UserError, match=r"no file of the folder|is missing"):
        safetensors_folder.read_folder(tmp_path / "folder")


def test_an_index_that_promises_too_much(tmp_path):
    """Missing files and tensors are named."""
    save_file({"a": VALUES}, tmp_path / "one.safetensors")
    _index(tmp_path, {"b": "one.safetensors"})
    with pytest.raises(UserError, match=r"tensor b should be in one\.safetensors, but is not"):
        safetensors_folder.read_folder(tmp_path)
    _index(tmp_path, {"b": "two.safetensors"})
    with pytest.raises(UserError, match=r"two\.safetensors is missing in the folder"):
        safetensors_folder.read_folder(tmp_path)
    _index(tmp_path, {})
    with pytest.raises(UserError, match="expected a weight_map"):
        safetensors_folder.read_folder(tmp_path)


def test_a_folder_without_tensors(tmp_path):
    """A pickle is named as what it is, and never opened."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"found neither; pytorch_model\.bin is a pickle"):
        safetensors_folder.read_folder(tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{", "header is no JSON"),
        (b"[]", "no JSON object"),
        (b'{"a": 1, "a": 2}', "header is no JSON"),
        (b"[" * 100_000, "header is no JSON"),
        ({"t": 3}, "expected dtype, shape and data_offsets"),
        ({"t": {"dtype": "F32"}}, "expected dtype, shape and data_offsets"),
        (_entry(dtype="F4"), "expected dtype, shape and data_offsets"),
        (_entry(dtype=["F32"]), "expected dtype, shape and data_offsets"),
        (_entry(shape=(-2,)), "expected dtype, shape and data_offsets"),
        (_entry(shape=(True, 2)), "expected dtype, shape and data_offsets"),
        (_entry(begin=-8, end=0), "expected dtype, shape and data_offsets"),
        (_entry(shape=(3,), end=12), "ends at byte 12, but the file has 8; it is cut"),
        (_entry(shape=(1,)), "takes 4 bytes, but its place has 8"),
        (_entry(shape=(2**62, 4)), "takes 73786976294838206464 bytes, but its place has 8"),
        (_entry(begin=8, end=0), "takes 8 bytes, but its place has -8"),
    ],
)
def test_a_false_header_is_one_clear_line(tmp_path, header, message):
    """Nothing is read by offsets that the file does not hold."""
    _write(tmp_path / "model.safetensors", header, bytes(8))
    with pytest.raises(UserError, match=message) as error:
        safetensors_folder.read_folder(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 16, b"\x10" + bytes(7) + b"{}"])
def test_no_safetensors_file(tmp_path, content):
    """Too short, or a header longer than the file."""
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="are no safetensors file"):
        safetensors_folder.read_folder(tmp_path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    """Every shorter file is refused, by one line."""
    path = tmp_path / "model.safetensors"
    save_file({"a": VALUES, "b": VALUES}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            safetensors_folder.read_folder(tmp_path)
