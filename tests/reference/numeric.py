"""Holds a layer against its equation in NumPy: values, and gradients by finite differences.

The equation knows nothing of the layer but the names of its weights, and is computed in float64.
Central differences of it, element by element, are the gradients that the layer must have. The layer
computes in float32, so numbers are compared in units of the largest one of their array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

Arrays = list[np.ndarray]
Weights = Mapping[str, np.ndarray]
#: float32's rounding, some sums of dozens of terms later.
TOLERANCE = 2e-5
_STEP = 1e-6


class Expected(NamedTuple):
    """What a layer must give for some inputs and weights."""

    values: Arrays
    upstream: Arrays  #: The gradient of a loss by each value, at random.
    gradients: dict[str, np.ndarray]  #: By input, "input 0" and so on, and by weight.


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers that float32 has exactly."""
    return np.random.default_rng([*shape, seed]).normal(size=shape).astype("float32").astype(float)


def randomize(layer: keras.layers.Layer, shape: Any, scale: float = 0.5) -> keras.layers.Layer:
    """Builds the layer and sets all its weights at random, gains and biases too."""
    if not layer.built:
        layer.build(shape)
    for number, weight in enumerate(layer.weights):
        weight.assign(scale * normal(*weight.shape, seed=number + 1))
    return layer


def weights_of(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """The weights by path, without the layer's own name."""
    return {
        weight.path.removeprefix(f"{layer.name}/"): weight.numpy().astype(float)
        for weight in layer.weights
    }


def within(weights: Weights, name: str) -> dict[str, np.ndarray]:
    """The weights of an inner layer."""
    prefix = f"{name}/"
    return {
        path.removeprefix(prefix): array
        for path, array in weights.items()
        if path.startswith(prefix)
    }


def expect(
    layer: keras.layers.Layer, equation: Callable[..., Any], *inputs: np.ndarray
) -> Expected:
    """Values and gradients of ``equation(weights, *inputs)``, an array or a tuple of arrays."""
    weights = weights_of(layer)
    values = _as_list(equation(weights, *inputs))
    upstream = [normal(*value.shape, seed=77) for value in values]

    def loss() -> float:
        results = _as_list(equation(weights, *inputs))
        return sum(float(np.sum(r * u)) for r, u in zip(results, upstream, strict=True))

    arrays = {f"input {number}": array for number, array in enumerate(inputs)} | weights
    return Expected(
        values, upstream, {name: _differences(loss, array) for name, array in arrays.items()}
    )


def compare(
    expected: Expected,
    layer: keras.layers.Layer,
    call: Callable[..., Any],
    *inputs: np.ndarray,
    tolerance: float = TOLERANCE,
) -> None:
    """``call(*inputs)``, a tensor or several, has the expected values and gradients."""
    tensors = [tf.constant(array, tf.float32) for array in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        results = _as_list(call(*tensors))
    for result, value in zip(results, expected.values, strict=True):
        assert_close(result, value, "value", tolerance)
    sources = [*tensors, *(weight.value for weight in layer.weights)]
    gradients = tape.gradient(
        results,
        sources,
        output_gradients=[tf.constant(part, tf.float32) for part in expected.upstream],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    # A gradient that is a difference of large terms is only as exact as those.
    largest = max(abs(array).max() for array in expected.gradients.values())
    for (name, array), gradient in zip(expected.gradients.items(), gradients, strict=True):
        floor = 0.01 * largest
        assert_close(tf.convert_to_tensor(gradient), array, f"gradient of {name}", tolerance, floor)


def assert_follows(
    layer: keras.layers.Layer,
    call: Callable[..., Any],
    equation: Callable[..., Any],
    *inputs: np.ndarray,
    tolerance: float = TOLERANCE,
) -> None:
    """The layer is its equation: `compare` with `expect`."""
    compare(expect(layer, equation, *inputs), layer, call, *inputs, tolerance=tolerance)


def assert_close(
    ours: Any, theirs: np.ndarray, what: str, tolerance: float = TOLERANCE, floor: float = 1e-6
) -> None:
    """The largest difference is at most `tolerance` times the largest number."""
    assert tuple(ours.shape) == theirs.shape, what
    scale = max(abs(theirs).max(initial=0), floor)
    difference = abs(np.asarray(ours, float) - theirs).max(initial=0) / scale
    assert difference < tolerance, f"{what}: {difference:.1e} of {scale:.3g}"


def _differences(loss: Callable[[], float], array: np.ndarray) -> np.ndarray:
    """The derivative of the loss by each element of an array that it reads."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + _STEP
        above = loss()
        array[place] = kept - _STEP
        gradient[place] = (above - loss()) / (2 * _STEP)
        array[place] = kept
    return gradient


def _as_list(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (tuple, list)) else [results]
