"""A tensor in a file, read when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """What a file says about one of its tensors.

    Attributes:
        shape: Outermost dimension first, whatever the file's order.
        read: Gives the values as float32, a copy of its own.
    """

    shape: Shape
    read: Callable[[], np.ndarray]


Tensors = Mapping[str, Tensor]


def size(shape: Shape) -> int:
    """Values in a tensor; Python's numbers do not overflow, as those of a file's author may wish.

    >>> size((2**40, 2**40)) == 2**80
    True
    """
    return math.prod(shape)
