"""The initial weights of a model: one table, and a draw by (seed, variable path).

The residual stream sums the outputs of all sublayers; dividing them by sqrt(2 num_layers) keeps its
variance at the start independent of depth (Radford et al. 2019, section 2.3). With muP, matrices
whose input grows with the width start smaller by the root of its multiple (Yang et al. 2022, table
8); the output's factor is in `Transformer.logits`. Each draw depends on the seed and the path of
the variable only: not on the order of building, nor on devices or other models.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import tensorflow as tf

from llm_keras import config

#: Pattern of a variable's path -> rule for its initial value, the first that matches.
TABLE = (
    (r"/(scale|gamma)$", "ones"),
    (r"(^|/|_)(bias|beta)$", "zeros"),
    (r"/(embeddings|buckets)$", "embedding"),
    (r"^output_projection/kernel$", "embedding"),
    (r"attention/output/kernel$", "residual"),
    (r"feed_forward/down(/kernel)?$", "residual"),
    (r"", "matrix"),
)


def initialize(model: Any) -> None:
    """Sets the variables of a `Transformer`, in place, as the table of this module says."""
    for variable in model.weights:
        # Without the model's own name: its user may choose it, and a part built alone has none.
        path = variable.path.removeprefix(f"{model.name}/")
        variable.assign(_initial(path, tuple(variable.shape), model.seed, model.settings))


def _initial(path: str, shape: tuple[int, ...], seed: int, settings: config.Model) -> tf.Tensor:
    rule = next(rule for pattern, rule in TABLE if re.search(pattern, path))
    if rule == "ones":
        return tf.ones(shape)
    if rule == "zeros":
        return tf.zeros(shape)
    digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
    key = [int.from_bytes(digest[i : i + 4], "little", signed=True) for i in (0, 4)]
    if settings.initialization == "glorot_uniform" and rule != "embedding":
        # Glorot and Bengio 2010, equation 16, as Tensor2Tensor; heads lie in one axis.
        limit = math.sqrt(6 / sum(shape[-2:])) / math.sqrt(settings.width_multiplier)
        return tf.random.stateless_uniform(shape, key, -limit, limit)
    return tf.random.stateless_normal(shape, key, stddev=_deviation(rule, settings))


def _deviation(rule: str, settings: config.Model) -> float:
    """Standard deviation of a normal draw."""
    if rule == "embedding":
        if settings.initialization == "glorot_uniform":
            return float(settings.hidden_dim**-0.5)  # times sqrt(D) when looked up: 1
        return settings.initializer_range
    depth = math.sqrt(2 * settings.num_layers) if rule == "residual" else 1.0
    return settings.initializer_range / depth / math.sqrt(settings.width_multiplier)
