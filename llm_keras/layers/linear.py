"""An affine map whose axes carry logical names."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions
from llm_keras.layers.shapes import sizes


@keras.saving.register_keras_serializable(package="llm_keras")
class Linear(keras.layers.Layer):
    """Multiplies the last axis by a matrix.

    ``y = x @ kernel + bias``

    Keras's `Dense` with two differences: the rows are one 2-D matmul with the bias fused into it by
    oneDNN, and the variables name their logical dimensions.

    Args:
        units: Size of the output's last axis.
        dimensions: Logical names of the input's and the output's last axis.
        use_bias: Whether a bias is added.
        kernel_initializer: A Keras initializer; `models.initialization` sets weights anew.

    Call arguments:
        x: float [..., I].

    Returns:
        float [..., units], the compute dtype.

    >>> Linear(5, ("hidden", "feed_forward"))(tf.zeros([2, 3, 4])).shape
    TensorShape([2, 3, 5])
    """

    def __init__(
        self,
        units: int,
        dimensions: tuple[str, str],
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dimensions = tuple(dimensions)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.lora_scale: float | None = None

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `kernel` [I, units] and `bias` [units]."""
        self.kernel = name_dimensions(
            self.add_weight(
                name="kernel",
                shape=(input_shape[-1], self.units),
                initializer=self.kernel_initializer,
            ),
            *self.dimensions,
        )
        self.bias = None
        if self.use_bias:
            bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
            self.bias = name_dimensions(bias, self.dimensions[1])

    def enable_lora(self, rank: int, alpha: float) -> None:
        """Adds a product of two thin matrices: ``y += alpha / rank * x @ A @ B``, B zero at first.

        As of Keras's `Dense`, but what is trained is for the caller to say.

        Args:
            rank: Columns of A [I, rank] and rows of B [rank, units].
            alpha: See the equation.

        References:
            Hu et al. 2022, section 4.1.
        """
        self._tracker.unlock()  # A layer that is built takes no variables otherwise.
        rows, columns = self.kernel.shape
        inner = self.add_weight(name="lora_kernel_a", shape=(rows, rank), initializer="zeros")
        outer = self.add_weight(name="lora_kernel_b", shape=(rank, columns), initializer="zeros")
        self.lora_kernel_a = name_dimensions(inner, self.dimensions[0], "rank")
        self.lora_kernel_b = name_dimensions(outer, "rank", self.dimensions[1])
        self._tracker.lock()
        self.lora_scale = alpha / rank

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the map; see the class."""
        rows = x if x.shape.rank == 2 else tf.reshape(x, [-1, x.shape[-1]])
        given, rows = rows, tf.matmul(rows, tf.convert_to_tensor(self.kernel))
        if self.lora_scale is not None:
            inner = tf.matmul(given, tf.convert_to_tensor(self.lora_kernel_a))
            rows += self.lora_scale * tf.matmul(inner, tf.convert_to_tensor(self.lora_kernel_b))
        if self.bias is not None:
            rows = tf.nn.bias_add(rows, tf.convert_to_tensor(self.bias))
        return rows if x.shape.rank == 2 else tf.reshape(rows, [*sizes(x)[:-1], self.units])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "units": self.units,
            "dimensions": self.dimensions,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
