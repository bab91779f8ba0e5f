"""Writes tensors as `model.safetensors`, in shards where they are large."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from llm_keras.interop.safetensors_folder import INDEX, SINGLE
from llm_keras.interop.tensor import Tensors, size

#: Of the data of one file, as Hugging Face's own programs cut.
SHARD_BYTES = 5_000_000_000
ITEM_BYTES = 4


def write_folder(folder: Path, tensors: Tensors, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes all tensors in float32, one in memory at a time.

    Args:
        folder: Exists.
        tensors: By name.
        shard_bytes: Most bytes of tensors in a file, if no single one is larger.
    """
    shards: list[list[str]] = [[]]
    filled = 0
    for name, tensor in tensors.items():
        size_bytes = size(tensor.shape) * ITEM_BYTES
        if shards[-1] and filled + size_bytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size_bytes
    if len(shards) == 1:
        _write_file(folder / SINGLE, tensors, shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_file(folder / file, tensors, names)
        weight_map |= dict.fromkeys(names, file)
    total = sum(size(tensor.shape) for tensor in tensors.values()) * ITEM_BYTES
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _write_file(path: Path, tensors: Tensors, names: list[str]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        shape = tensors[name].shape
        end = offset + size(shape) * ITEM_BYTES
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(tensors[name].read().astype("<f4").tobytes())
