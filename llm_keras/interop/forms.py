"""How the same weight lies in another program's file: each form is a transpose or a cut, undone.

Ours: kernels [in, out], all heads in one axis, rotary pairs (i, i + size / 2) of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llm_keras.interop.tensor import Shape


@dataclass(frozen=True)
class Form:
    """A layout of one weight; `heads` is how many heads its projection has.

    Attributes:
        shape: Of theirs, from (the shape of ours, heads).
        read: Ours from (theirs, heads).
        write: Theirs from (ours, heads).
    """

    shape: Callable[[Shape, int], Shape]
    read: Callable[[np.ndarray, int], np.ndarray]
    write: Callable[[np.ndarray, int], np.ndarray]


def _turned(shape: Shape) -> Shape:
    return (*shape[:-2], *shape[:-3:-1])


def _transpose(x: np.ndarray) -> np.ndarray:
    """Swaps the last two axes; a vector stays."""
    return x if x.ndim < 2 else np.swapaxes(x, -1, -2)


def _part(index: int) -> Form:
    return Form(
        lambda shape, _heads: (*shape[:-1], 3 * shape[-1]),
        lambda x, _heads: np.split(x, 3, axis=-1)[index],
        lambda x, _heads: x,
    )


def _neighbours_to_halves(x: np.ndarray, heads: int) -> np.ndarray:
    """Rows (0, 1), (2, 3) .. of each head's first axis to (0, n / 2), (1, n / 2 + 1) .."""
    return x.reshape(heads, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def _halves_to_neighbours(x: np.ndarray, heads: int) -> np.ndarray:
    return x.reshape(heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


FORMS = {
    "same": Form(lambda shape, _: shape, lambda x, _: x, lambda x, _: x),
    # [out, in], as PyTorch's Linear.
    "transposed": Form(
        lambda shape, _: _turned(shape), lambda x, _: _transpose(x), lambda x, _: _transpose(x)
    ),
    # The same, with rotary pairs (2 i, 2 i + 1), as llama.cpp.
    "transposed_neighbours": Form(
        lambda shape, _: _turned(shape),
        lambda x, heads: _transpose(_neighbours_to_halves(x, heads)),
        lambda x, heads: _halves_to_neighbours(_transpose(x), heads),
    ),
    # [in, heads, size] and biases [heads, size], as Keras's MultiHeadAttention.
    "heads_out": Form(
        lambda shape, heads: (*shape[:-1], heads, shape[-1] // heads),
        lambda x, _: x.reshape(*x.shape[:-2], -1),
        lambda x, heads: x.reshape(*x.shape[:-1], heads, -1),
    ),
    # [heads, size, out].
    "heads_in": Form(
        lambda shape, heads: (heads, shape[0] // heads, shape[1]),
        lambda x, _: x.reshape(-1, x.shape[-1]),
        lambda x, heads: x.reshape(heads, -1, x.shape[-1]),
    ),
    # One of three side by side, as GPT-2's fused query, key and value.
    "first_third": _part(0),
    "second_third": _part(1),
    "last_third": _part(2),
    # One tensor [out, in] for each expert; the name holds its number.
    "experts": Form(
        lambda shape, _: _turned(shape[1:]),
        lambda x, _: _transpose(x),
        lambda x, _: _transpose(x),
    ),
}
