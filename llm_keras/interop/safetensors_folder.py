"""Reads the tensors of a Hugging Face folder: `model.safetensors`, whole or in shards.

The format is simple enough to be read by hand: eight bytes of length, a JSON header of names,
types, shapes and offsets, then the data. So the data stays on disk until a tensor is asked for, and
bfloat16, which NumPy has not, becomes float32 on the way. Every number of the header is held
against the file before it is used.

References:
    https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras.errors import UserError
from llm_keras.interop.tensor import Shape, Tensor, size

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: The format's own limit.
MAXIMUM_HEADER_BYTES = 100_000_000

#: Types of the format and their bytes. Those without a NumPy type here are named and refused.
ITEM_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2,
              "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8}  # fmt: skip
STORED = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_folder(folder: Path) -> dict[str, Tensor]:
    """All tensors of the folder by name.

    Raises:
        UserError: There are none, or a file is not what it should be.
    """
    index = folder / INDEX
    if index.exists():
        return _read_shards(folder, index)
    if not (folder / SINGLE).exists():
        pickled = sorted(folder.glob("*.bin"))
        hint = f"; {pickled[0].name} is a pickle, which may run code" if pickled else ""
        raise UserError(f"{folder}: expected {SINGLE} or {INDEX}, found neither{hint}")
    return read_file(folder / SINGLE)


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file by name.

    Raises:
        UserError: The file is cut, or its header does not describe it.
    """
    header, start = _read_header(path)
    available = path.stat().st_size - start
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            dtype, shape, begin = _checked(entry, available, f"{path}: tensor {name}")
            tensors[name] = _tensor(path, name, dtype, shape, start + begin)
    return tensors


def _read_shards(folder: Path, index: Path) -> dict[str, Tensor]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: expected a weight_map of tensor names and files")
    shards: dict[str, dict[str, Tensor]] = {}
    tensors = {}
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise UserError(
                f"{index}: tensor {name} is in {file!r}, which is no file of the folder"
            )
        if file not in shards:
            if not (folder / file).is_file():
                raise UserError(f"{index}: {file} is missing in the folder")
            shards[file] = read_file(folder / file)
        if name not in shards[file]:
            raise UserError(f"{index}: tensor {name} should be in {file}, but is not")
        tensors[name] = shards[file][name]
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        UserError: It cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: missing") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is no JSON") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the data begins."""
    total = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if total < 8 or length > min(total - 8, MAXIMUM_HEADER_BYTES):
            raise UserError(
                f"{path}: {total} bytes are no safetensors file: the header would have {length}"
            )
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_plain_names)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is no safetensors file: the header is no JSON") from None
    if not isinstance(header, dict):
        raise UserError(f"{path}: is no safetensors file: the header is no JSON object")
    return header, 8 + length


def _plain_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs) or not all(name.isprintable() for name in content):
        raise ValueError("a name stands twice, or cannot be shown")
    return content


def _checked(entry: Any, available: int, where: str) -> tuple[str, Shape, int]:
    """Type, shape and first byte of a tensor, once they agree with each other and the file."""
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        whole = dtype in ITEM_BYTES and all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise UserError(
            f"{where}: expected dtype, shape and data_offsets, found {str(entry)[:200]}"
        )
    if end > available:
        raise UserError(f"{where}: ends at byte {end}, but the file has {available}; it is cut")
    needed = size(shape) * ITEM_BYTES[dtype]
    if end - begin != needed:
        raise UserError(
            f"{where}: {dtype} {list(shape)} takes {needed} bytes, but its place has {end - begin}"
        )
    return dtype, shape, begin


def _tensor(path: Path, name: str, dtype: str, shape: Shape, offset: int) -> Tensor:
    def read() -> np.ndarray:
        if dtype not in STORED:
            raise UserError(
                f"{path}: tensor {name} has type {dtype}; expected one of {', '.join(STORED)}"
            )
        if not size(shape):
            return np.zeros(shape, np.float32)
        stored = np.memmap(path, STORED[dtype], "r", offset, shape)
        return from_bfloat16(stored) if dtype == "BF16" else np.array(stored, np.float32)

    return Tensor(shape, read)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32 of the bits of bfloat16, which are the upper half of it."""
    widened = bits.astype(np.uint32)
    widened <<= 16
    return widened.view(np.float32)
