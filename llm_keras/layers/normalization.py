"""The normalizations: Keras's own layers, whose variables get logical dimensions."""

from __future__ import annotations

from typing import Any

import keras

from llm_keras.layers.dimensions import name_dimensions


@keras.saving.register_keras_serializable(package="llm_keras")
class RMSNorm(keras.layers.RMSNormalization):
    """``y = x / sqrt(mean(x**2) + epsilon) * scale``, the mean square in float32.

    Everything is Keras's; the variable names its dimension.

    References:
        Zhang and Sennrich 2019, section 4.
    """

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `scale` [D]."""
        super().build(input_shape)
        name_dimensions(self.scale, "hidden")


@keras.saving.register_keras_serializable(package="llm_keras")
class LayerNorm(keras.layers.LayerNormalization):
    """``y = (x - mean(x)) / sqrt(variance(x) + epsilon) * gamma + beta``, statistics in float32.

    Everything is Keras's; the variables name their dimension.

    References:
        Ba, Kiros and Hinton 2016, section 3.
    """

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `gamma` and `beta` [D]."""
        super().build(input_shape)
        for variable in self.weights:
            name_dimensions(variable, "hidden")


def normalization(kind: str, epsilon: float, **kwargs: Any) -> keras.layers.Layer:
    """`RMSNorm` for "rms_norm", `LayerNorm` for "layer_norm".

    Raises:
        ValueError: `kind` is neither.
    """
    layers = {"rms_norm": RMSNorm, "layer_norm": LayerNorm}
    if kind not in layers:
        raise ValueError(f"expected a normalization of {tuple(layers)}, got {kind!r}")
    return layers[kind](epsilon=epsilon, **kwargs)
