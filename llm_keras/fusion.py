"""Arithmetic that XLA may turn into one pass over memory.

A chain of TensorFlow's ops reads and writes every number once an op; on a processor that is most of
what a norm, an activation or a softmax costs. Where training says so, a function marked `fusible`
is compiled into one op. Everywhere else it is the ops that it is written in: an exported model must
hold no XLA, and DTensor and replicas take none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

#: Arguments whose first has fewer numbers than this are not worth a call of a compiled function,
#: nor the time to compile it.
LEAST_NUMBERS = 2**15

_fusing: ContextVar[bool] = ContextVar("fusing", default=False)


@contextmanager
def fusing(*, wanted: bool = True) -> Iterator[None]:
    """Fusible functions that are traced within are compiled."""
    before = _fusing.set(wanted)
    try:
        yield
    finally:
        _fusing.reset(before)


def fusible(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a function of tensors that has a gradient of its own or needs none.

    Its other arguments are by keyword, and a function is compiled for each of their values.

    >>> double = fusible(lambda x: x + x)
    >>> with fusing():
    ...     double(tf.ones([2**15])).shape
    TensorShape([32768])
    """
    # One function for each set of shapes: TensorFlow takes many shapes of one for a mistake.
    compiled: dict[Any, Callable[..., Any]] = {}

    @functools.wraps(function)
    def call(*tensors: tf.Tensor, **settings: Any) -> Any:
        numbers = tensors[0].shape.num_elements()
        if not _fusing.get() or numbers is None or numbers < LEAST_NUMBERS:
            return function(*tensors, **settings)
        kinds = tuple((tensor.dtype, *tensor.shape) for tensor in tensors)
        key = (kinds, *sorted(settings.items()))
        if key not in compiled:
            compiled[key] = tf.function(function, autograph=False, jit_compile=True)
        return compiled[key](*tensors, **settings)

    return call
