"""Writes GGUF files with float16 matrices and float32 vectors."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras.errors import UserError
from llm_keras.interop.gguf import ARRAY, DEFAULT_ALIGNMENT, MAGIC, STRING
from llm_keras.interop.tensor import Tensors, size

VERSION = 3
F32, F16 = 0, 1
#: Python type -> number of the type in the file, and how it is packed.
PACKED = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}
SIGNED = (5, "i")
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


def write(path: Path, metadata: Mapping[str, Any], tensors: Tensors) -> None:
    """Writes a file, one tensor in memory at a time.

    Args:
        path: Of the file; made anew.
        metadata: Booleans, numbers, texts, and lists of one of them.
        tensors: By the names of the format.

    Raises:
        UserError: A value is too large for float16.
    """
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata)))
        for name, value in metadata.items():
            file.write(_string(name) + _typed(value))
        offset = 0
        for name, tensor in tensors.items():
            kind, item_bytes = (F32, 4) if len(tensor.shape) < 2 else (F16, 2)
            file.write(_string(name) + struct.pack("<I", len(tensor.shape)))
            file.write(struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape[::-1], kind, offset))
            offset += _aligned(size(tensor.shape) * item_bytes)
        for name, tensor in tensors.items():
            file.write(bytes(_aligned(file.tell()) - file.tell()))
            file.write(_data(name, tensor.read()))


def _data(name: str, value: np.ndarray) -> bytes:
    if value.ndim < 2:
        return value.astype("<f4").tobytes()
    if np.abs(value).max(initial=0) > LARGEST_FLOAT16:
        raise UserError(f"{name}: a value beyond {LARGEST_FLOAT16:.0f} is none in float16")
    return value.astype("<f2").tobytes()


def _aligned(at: int) -> int:
    return -(-at // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Any) -> bytes:
    if isinstance(value, list):
        kind = _kind(value)
        items = b"".join(_packed(item, kind) for item in value)
        return struct.pack("<IIQ", ARRAY, kind[0], len(value)) + items
    kind = _kind([value])
    return struct.pack("<I", kind[0]) + _packed(value, kind)


def _kind(values: list[Any]) -> tuple[int, str]:
    """The type of a value or of all values of a list."""
    if isinstance(values[0], str):
        return STRING, ""
    if any(type(value) is int and value < 0 for value in values):
        return SIGNED
    return PACKED[type(values[0])]


def _packed(value: Any, kind: tuple[int, str]) -> bytes:
    return _string(value) if kind[0] == STRING else struct.pack("<" + kind[1], value)
