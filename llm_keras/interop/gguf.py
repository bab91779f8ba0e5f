"""Reads GGUF files: metadata and tensors, some types of which are quantized.

    "GGUF", version, number of tensors, number of metadata
    metadata: name, type, value
    tensors: name, dimensions (innermost first), type, offset
    the tensors' data, each aligned

Each count and length is held against what is left of the file, so that a damaged file is refused
at once and in little memory. Files of the other byte order and the first version are refused.

References:
    https://github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras.errors import UserError
from llm_keras.interop import gguf_blocks
from llm_keras.interop.tensor import Shape, Tensor, size

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAXIMUM_DIMENSIONS = 4
MAXIMUM_NAME = 256

#: Number types of metadata, by their number in the file, in the notation of `struct`.
NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class GGUF:
    """The content of a file."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


class _DamagedError(Exception):
    """The message says what is wrong, the caller in which file."""


def read(path: Path) -> GGUF:
    """Reads the metadata of a file, and where its tensors are.

    Raises:
        UserError: The file is no GGUF file, is cut, or has tensors of a type that is not read.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    try:
        return _read(path, _Cursor(data))
    except _DamagedError as error:
        raise UserError(f"{path}: {error}") from None


def _read(path: Path, cursor: _Cursor) -> GGUF:
    if cursor.take(4) != MAGIC:
        raise _DamagedError("is no GGUF file: it does not begin with GGUF")
    version = cursor.number("I")
    if version not in VERSIONS:
        raise _DamagedError(f"expected GGUF version 2 or 3 in little-endian order, found {version}")
    num_tensors, num_metadata = cursor.count(24), cursor.count(13)
    metadata: dict[str, Any] = {}
    for _ in range(num_metadata):
        name = cursor.name()
        metadata[name] = cursor.value(cursor.number("I"))
    headers = [_tensor_header(cursor) for _ in range(num_tensors)]
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(alignment) is not int or not 8 <= alignment <= 1 << 20 or alignment % 8:
        raise _DamagedError(f"general.alignment {alignment!r} is no multiple of 8")
    start = -(-cursor.at // alignment) * alignment
    tensors: dict[str, Tensor] = {}
    for name, shape, type_name, offset in headers:
        if name in tensors:
            raise _DamagedError(f"tensor {name} stands twice")
        tensors[name] = _tensor(cursor.data, name, shape, type_name, start + offset)
    return GGUF(path, metadata, tensors)


def _tensor_header(cursor: _Cursor) -> tuple[str, Shape, str, int]:
    name = cursor.name()
    num_dimensions = cursor.number("I")
    if num_dimensions > MAXIMUM_DIMENSIONS:
        raise _DamagedError(f"tensor {name} has {num_dimensions} dimensions; expected at most 4")
    shape = tuple(cursor.number("Q") for _ in range(num_dimensions))[::-1]
    number = cursor.number("I")
    type_name = gguf_blocks.NAMES.get(number, f"number {number}")
    if type_name not in gguf_blocks.READ:
        raise _DamagedError(
            f"tensor {name} has type {type_name}; expected one of {', '.join(gguf_blocks.READ)}"
        )
    return name, shape, type_name, cursor.number("Q")


def _tensor(data: mmap.mmap, name: str, shape: Shape, type_name: str, offset: int) -> Tensor:
    kind = gguf_blocks.READ[type_name]
    if shape and shape[-1] % kind.values:
        raise _DamagedError(
            f"tensor {name} {list(shape)}: {type_name} needs rows of a multiple of {kind.values}"
        )
    size_bytes = size(shape) // kind.values * kind.size_bytes
    if offset + size_bytes > len(data):
        raise _DamagedError(
            f"tensor {name} ends at byte {offset + size_bytes}, but the file has {len(data)}; it is"
            " cut"
        )

    def read() -> np.ndarray:
        stored = np.frombuffer(data, np.uint8, size_bytes, offset)
        return gguf_blocks.dequantize(stored, type_name).reshape(shape)

    return Tensor(shape, read)


class _Cursor:
    """Takes one value after the other from the file's beginning."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise _DamagedError(f"is cut or damaged at byte {self.at} of {len(self.data)}")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, kind: str) -> Any:
        return struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind)))[0]

    def count(self, least_bytes: int) -> int:
        """A number of things that follow, each of at least so many bytes."""
        count = int(self.number("Q"))
        if count * least_bytes > len(self.data) - self.at:
            raise _DamagedError(f"is cut or damaged: {count} entries at byte {self.at}")
        return count

    def string(self) -> str:
        return self.take(self.count(1)).decode(errors="replace")

    def name(self) -> str:
        """A string that can be shown in a message."""
        name = self.string()
        if not name.isprintable() or len(name) > MAXIMUM_NAME:
            raise _DamagedError(f"is damaged: a name before byte {self.at} is none")
        return name

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY or depth:
            raise _DamagedError(f"has metadata of type {kind}, which is not known, at {self.at}")
        inner = self.number("I")
        if inner in NUMBERS:
            form = NUMBERS[inner]
            count = self.count(struct.calcsize("<" + form))
            return list(
                struct.unpack(f"<{count}{form}", self.take(count * struct.calcsize("<" + form)))
            )
        return [self.value(inner, depth + 1) for _ in range(self.count(8))]
