"""GGUF files that the `gguf` package wrote are read as it reads them itself, or refused."""

import contextlib
import struct

import gguf as oracle
import numpy as np
import pytest

from llm_keras.errors import UserError
from llm_keras.interop import gguf

RANDOM = np.random.default_rng(2)
VALUES = RANDOM.normal(size=(3, 4, 64)).astype(np.float32)
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"]


def _write(path, tensors, alignment=None, **metadata):
    """Writes a file by the package; `tensors` are pairs of values and the name of a type."""
    writer = oracle.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    for name, value in metadata.items():
        writer.add_key_value(name, value, *_type_of(value))
    for name, (values, type_name) in tensors.items():
        kind = oracle.GGMLQuantizationType[type_name]
        writer.add_tensor(name, oracle.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _type_of(value):
    kind = oracle.GGUFValueType.get_type(value)
    if kind == oracle.GGUFValueType.ARRAY:
        return kind, oracle.GGUFValueType.get_type(value[0])
    return (kind,)


@pytest.mark.parametrize("type_name", TYPES)
def test_values_of_each_type(tmp_path, type_name):
    """Bit for bit those of the package's own quantizer and dequantizer."""
    path = tmp_path / "model.gguf"
    _write(path, {"a": (VALUES, type_name), "b": (VALUES[0, 0], type_name)})
    tensors = gguf.read(path).tensors
    for name, values in (("a", VALUES), ("b", VALUES[0, 0])):
        kind = oracle.GGMLQuantizationType[type_name]
        expected = oracle.quants.dequantize(oracle.quants.quantize(values, kind), kind)
        found = tensors[name].read()
        assert found.dtype == np.float32
        assert tensors[name].shape == values.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("alignment", [8, 32, 256])
def test_metadata_and_alignment(tmp_path, alignment):
    """Every kind of value, and tensors that begin where the alignment says."""
    path = tmp_path / "model.gguf"
    written = {"text": "fünf", "number": -5, "share": 0.5, "yes": True, "empty": "",
               "numbers": [1, 2, 3], "texts": ["a", "", "ü"], "flags": [True, False]}  # fmt: skip
    _write(path, {"a": (VALUES[0, :1], "F16"), "b": (VALUES[0], "F32")}, alignment, **written)
    found = gguf.read(path)
    assert {name: found.metadata[name] for name in written} == written
    assert found.metadata["general.architecture"] == "llama"
    np.testing.assert_array_equal(found.tensors["b"].read(), VALUES[0])


@pytest.mark.parametrize("type_name", ["Q5_0", "Q6_K", "IQ4_NL", "TQ1_0"])
def test_another_type_is_refused_by_name(tmp_path, type_name):
    """The tensor and its type are named, and what would be read."""
    path = tmp_path / "model.gguf"
    kind = oracle.GGMLQuantizationType[type_name]
    writer = oracle.GGUFWriter(path, "llama")
    rows = np.zeros((2, oracle.GGML_QUANT_SIZES[kind][1]), np.uint8)
    writer.add_tensor("blk.0.attn_q.weight", rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match=rf"blk\.0\.attn_q\.weight has type {type_name}; expected"):
        gguf.read(path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    """Every shorter file is refused, by one line."""
    path = tmp_path / "model.gguf"
    _write(path, {"a": (VALUES[0, :1], "F32")}, texts=["some", "text"], numbers=[1, 2])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError) as error:
            gguf.read(path)
        assert "\n" not in str(error.value)


def test_a_damaged_header_never_ends_otherwise(tmp_path):
    """Any byte before the data may be anything: the file is read or refused, quickly."""
    path = tmp_path / "model.gguf"
    _write(path, {"a": (VALUES[0, :1], "F32")}, texts=["some", "text"], numbers=[1, 2])
    whole = path.read_bytes()
    for at in range(len(whole) - VALUES[0, :1].nbytes):
        for byte in (0, 1, 9, 127, 255):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            with contextlib.suppress(UserError):
                gguf.read(path)


HEADER = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGML" + bytes(40), "does not begin with GGUF"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "expected GGUF version 2 or 3 in little-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "found 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "9223372036854775808 entries"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "9223372036854775808 entries"),
        (HEADER + struct.pack("<Q", 2**62), "entries at byte"),
        (HEADER + KEY + struct.pack("<IIQ", 9, 0, 2**60), "entries at byte"),
        (HEADER + KEY + struct.pack("<IIQIQ", 9, 9, 1, 0, 0), "metadata of type 9"),
        (HEADER + KEY + struct.pack("<I", 77) + bytes(8), "metadata of type 77"),
    ],
)
def test_a_false_header_is_one_clear_line(tmp_path, content, message):
    """Absurd counts take neither time nor memory."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        gguf.read(path)


def test_no_file(tmp_path):
    """A missing and an empty file are one line each."""
    with pytest.raises(UserError, match="cannot be read"):
        gguf.read(tmp_path / "model.gguf")
    (tmp_path / "model.gguf").touch()
    with pytest.raises(UserError, match="cannot be read"):
        gguf.read(tmp_path / "model.gguf")
