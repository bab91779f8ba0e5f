"""The position-wise feed-forward layer."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.gelu import gelu
from llm_keras.layers.linear import Linear

#: Activations that multiply a second projection of the input, the gate, with the first.
GATED = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh"}
ACTIVATIONS = (*GATED, "gelu", "gelu_tanh", "relu")


@keras.saving.register_keras_serializable(package="llm_keras")
class FeedForward(keras.layers.Layer):
    """Widens each position, applies a nonlinearity, and narrows it again.

    ``y = f(x W_up) W_down`` with f = relu, gelu (exact, by erf) or gelu_tanh (its approximation);
    ``y = (f(x W_gate) * (x W_up)) W_down`` with f = silu for swiglu, gelu for geglu and gelu_tanh
    for geglu_tanh, which have one matrix more.

    Args:
        intermediate_dim: Width between the projections, F.
        activation: One of `ACTIVATIONS`.
        use_bias: Whether the projections have biases.

    Call arguments:
        x: float [..., D].

    Returns:
        float [..., D].

    >>> FeedForward(intermediate_dim=8)(tf.zeros([2, 3, 4])).shape
    TensorShape([2, 3, 4])

    Raises:
        ValueError: The activation is none of `ACTIVATIONS`.

    References:
        Vaswani et al. 2017, section 3.3; GELU: Hendrycks and Gimpel 2016, section 2; gates:
        Shazeer 2020, section 2, equations 5 and 6.
    """

    def __init__(
        self,
        intermediate_dim: int,
        activation: str = "swiglu",
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"expected an activation of {ACTIVATIONS}, got {activation!r}")
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.use_bias = use_bias

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the projections `up`, `down` and, for gated activations, `gate`."""
        wide, up = self.intermediate_dim, ("hidden", "feed_forward")
        self.up = self._projection("up", wide, up)
        self.up.build(input_shape)
        self.gate = None
        if self.activation in GATED:
            self.gate = self._projection("gate", wide, up)
            self.gate.build(input_shape)
        self.down = self._projection("down", input_shape[-1], ("feed_forward", "hidden"))
        self.down.build((*input_shape[:-1], wide))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the layer; see the class."""
        gate = None if self.gate is None else self.gate(x)
        return self.down(activate(self.activation, self.up(x), gate))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": self.activation,
            "use_bias": self.use_bias,
        }

    def _projection(self, name: str, units: int, dimensions: tuple[str, str]) -> Linear:
        return Linear(units, dimensions, self.use_bias, name=name, dtype=self.dtype_policy)


def activate(activation: str, up: tf.Tensor, gate: tf.Tensor | None) -> tf.Tensor:
    """``f(up)``, or ``f(gate) * up`` for the activations of `GATED`."""
    function = GATED.get(activation, activation)
    x = up if gate is None else gate
    if function == "silu":
        y = tf.nn.silu(x)
    elif function == "relu":
        y = tf.nn.relu(x)
    else:
        y = gelu(x, approximate=function == "gelu_tanh")
    return y if gate is None else y * up
