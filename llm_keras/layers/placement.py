"""Where activations lie, when a step is spread over a mesh of devices.

Layers name the axes of a few tensors by `pin`; whoever spreads the step says by `placed_by` what
the names mean. Elsewhere a pin is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

#: Puts a tensor where the names of its axes belong: "batch", those of `dimensions`, None for none.
Place = Callable[[tf.Tensor, tuple[str | None, ...]], tf.Tensor]

_PLACE: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def placed_by(place: Place) -> Iterator[None]:
    """Every `pin` within is `place`."""
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def pin(x: tf.Tensor, *axes: str | None) -> tf.Tensor:
    """The tensor, and its gradient, where its axes belong.

    Args:
        x: Any tensor.
        axes: A name for each axis; None where it is whole on every device.
    """
    place = _PLACE.get()
    return x if place is None else place(x, axes)


def on_mesh() -> bool:
    """Whether tensors may lie in pieces here, so that some operations cannot be used."""
    return _PLACE.get() is not None
