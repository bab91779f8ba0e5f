"""Values of GGUF's tensor types, quantized ones included.

A quantized tensor is a row of blocks of 32 values: one or two float16 numbers, then the integers.

- Q8_0: d, then 32 signed bytes q. ``value = d q``
- Q4_0: d, then 16 bytes. ``value = d (q - 8)``
- Q4_1: d and m, then 16 bytes. ``value = d q + m``

The low halves of the 16 bytes are the values 0 to 15, the high halves 16 to 31.

References:
    https://github.com/ggml-org/ggml, docs/gguf.md and src/ggml-common.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llm_keras.interop.safetensors_folder import from_bfloat16


@dataclass(frozen=True)
class BlockType:
    """A type of GGUF: how many values and bytes a block has, and what the bytes mean."""

    values: int
    size_bytes: int
    read: Callable[[np.ndarray], np.ndarray]


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    return _scales(blocks, 0) * blocks[:, 2:].view(np.int8).astype(np.float32)


def _q4_0(blocks: np.ndarray) -> np.ndarray:
    return _scales(blocks, 0) * (_nibbles(blocks[:, 2:]) - np.float32(8))


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    return _scales(blocks, 0) * _nibbles(blocks[:, 4:]) + _scales(blocks, 2)


def _scales(blocks: np.ndarray, at: int) -> np.ndarray:
    """The float16 number at a byte of each block, as float32 [blocks, 1]."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(packed: np.ndarray) -> np.ndarray:
    return np.concatenate([packed & 0x0F, packed >> 4], axis=1).astype(np.float32)


def _plain(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda blocks: blocks.view(dtype).astype(np.float32)


#: The types that are read, by name.
READ = {
    "F32": BlockType(1, 4, _plain("<f4")),
    "F16": BlockType(1, 2, _plain("<f2")),
    "BF16": BlockType(1, 2, lambda blocks: from_bfloat16(blocks.view("<u2"))),
    "Q8_0": BlockType(32, 34, _q8_0),
    "Q4_0": BlockType(32, 18, _q4_0),
    "Q4_1": BlockType(32, 20, _q4_1),
}

#: What the numbers of a file's tensor types mean.
NAMES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


def dequantize(stored: np.ndarray, type_name: str) -> np.ndarray:
    """Values of a whole number of blocks.

    Args:
        stored: uint8 [bytes].
        type_name: One of `READ`.

    Returns:
        float32 [values].
    """
    kind = READ[type_name]
    return kind.read(stored.reshape(-1, kind.size_bytes)).reshape(-1)
