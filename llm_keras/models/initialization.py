"""The initial weights of a model: one table, and a draw by (seed, variable path).

- gains of norms (`scale`, `gamma`): 1
- biases (`bias`, `beta`): 0
- embeddings, the output projection, kernels: normal, standard deviation `initializer_range`
- kernels whose products are added to the residual stream (`attention/output`,
  `feed_forward/down`): the same, divided by sqrt(2 num_layers)

The residual stream sums 2 num_layers outputs; the division keeps its variance at the start
independent of depth (Radford et al. 2019, section 2.3). Each draw depends on the seed and the path
of the variable only: not on the order of building, nor on devices or other models.
"""

from __future__ import annotations

import hashlib
import math

import keras
import tensorflow as tf

RESIDUAL_OUTPUTS = ("attention/output/kernel", "feed_forward/down/kernel")


def initialize(model: keras.Model, seed: int, initializer_range: float, num_layers: int) -> None:
    """Sets the model's variables, in place, as the table of this module says."""
    for variable in model.weights:
        # Without the model's own name: its user may choose it, and a part built alone has none.
        path = variable.path.removeprefix(f"{model.name}/")
        variable.assign(_initial(path, variable.shape, seed, initializer_range, num_layers))


def _initial(
    path: str, shape: tuple[int, ...], seed: int, initializer_range: float, num_layers: int
) -> tf.Tensor:
    kind = path.rpartition("/")[2]
    if kind in ("scale", "gamma"):
        return tf.ones(shape)
    if kind in ("bias", "beta"):
        return tf.zeros(shape)
    residual = path.endswith(RESIDUAL_OUTPUTS)
    deviation = initializer_range / (math.sqrt(2 * num_layers) if residual else 1)
    digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
    key = [int.from_bytes(digest[i : i + 4], "little", signed=True) for i in (0, 4)]
    return tf.random.stateless_normal(shape, key, stddev=deviation)
