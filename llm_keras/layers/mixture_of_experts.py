"""A mixture of experts in place of the feed-forward layer.

B rows, T positions, N tokens, D hidden, F feed-forward, E experts, k experts a token.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from llm_keras.layers.dimensions import name_dimensions
from llm_keras.layers.feed_forward import ACTIVATIONS, GATED, activate
from llm_keras.layers.linear import Linear
from llm_keras.layers.placement import on_mesh
from llm_keras.layers.shapes import sizes


@keras.saving.register_keras_serializable(package="llm_keras")
class MixtureOfExperts(keras.layers.Layer):
    """Each token goes through the few experts that its router likes best.

    ``y = sum_e p[e] FFN_e(x)`` over the k best experts e, ``p = softmax(k best of x W_router)``

    In training an expert takes at most ``ceil(capacity_factor k T / E)`` tokens of a row: first
    choices before second ones, then in the order of the row. The others skip it; the residual
    carries them on. Because the limit is by row, what happens to a row never depends on its batch
    mates. Without training nothing is dropped.

    Args:
        num_experts: E.
        experts_per_token: k.
        intermediate_dim: F of each expert.
        activation: See `FeedForward`.
        use_bias: Whether the experts' projections have biases; the router has none.
        capacity_factor: None: no limit in training either.

    Call arguments:
        x: float [B, T, D], or [N, D] without training.
        real: bool [B, T], False for filling, which goes to no expert; None: all are real.
        training: Whether the capacity limits.

    Returns:
        float, the shape of `x`, and float32 [3], sums over real tokens that a loss or a log divides
        by their number: `load_balance`, ``E sum_e f[e] P[e]`` of the token's row, f the fraction of
        the row's choices that are e and P[e] its mean probability; `z`, the squared logsumexp of
        the router's logits; `dropped`, choices that found no room.

    >>> y, sums = MixtureOfExperts(4, 2, intermediate_dim=8)(tf.ones([2, 3, 16]))
    >>> y.shape, sums.shape
    (TensorShape([2, 3, 16]), TensorShape([3]))

    Raises:
        ValueError: k exceeds E, or the activation is unknown.

    References:
        Shazeer et al. 2017, section 2; capacity and load balance: Fedus et al. 2022, section 2.2,
        here a row where they take a batch; order of choices: Lepikhin et al. 2021, algorithm 1;
        softmax after the choice: Jiang et al. 2024, section 2.1; z: Zoph et al. 2022, equation 5.
    """

    def __init__(
        self,
        num_experts: int,
        experts_per_token: int,
        intermediate_dim: int,
        activation: str = "swiglu",
        use_bias: bool = False,
        capacity_factor: float | None = 1.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if experts_per_token > num_experts:
            raise ValueError(
                f"expected at most num_experts {num_experts} experts_per_token, got"
                f" {experts_per_token}"
            )
        if activation not in ACTIVATIONS:
            raise ValueError(f"expected an activation of {ACTIVATIONS}, got {activation!r}")
        self.num_experts = num_experts
        self.experts_per_token = experts_per_token
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.use_bias = use_bias
        self.capacity_factor = capacity_factor

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes `router`, and all experts' matrices in one variable each: [E, D, F], [E, F, D]."""
        hidden, wide = input_shape[-1], self.intermediate_dim
        # The choice is made in float32: rounding would change it (Fedus et al. 2022, section 2.4).
        self.router = Linear(
            self.num_experts, ("hidden", "experts"), name="router", dtype="float32"
        )
        self.router.build(input_shape)
        self.projections: dict[str, keras.Variable] = {}
        for name in ("up", "gate", "down"):
            if name == "gate" and self.activation not in GATED:
                continue
            dimensions = (
                ("feed_forward", "hidden") if name == "down" else ("hidden", "feed_forward")
            )
            shape = (wide, hidden) if name == "down" else (hidden, wide)
            self._add(name, shape, dimensions)
            if self.use_bias:
                self._add(f"{name}_bias", shape[1:], dimensions[1:])

    def call(
        self, x: tf.Tensor, real: tf.Tensor | None = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Routes and computes; see the class."""
        logits = self.router(x)  # [..., E]
        best, chosen = tf.math.top_k(logits, self.experts_per_token)  # [..., k]
        if on_mesh():  # The gradient of top_k counts the rows of all devices, and has only its own.
            hits = tf.one_hot(chosen, self.num_experts)
            best = tf.reduce_sum(hits * tf.expand_dims(logits, -2), axis=-1)
        taken = tf.ones_like(chosen, tf.bool)
        if real is not None:
            taken = tf.broadcast_to(real[..., None], tf.shape(chosen))
        fits = taken
        if training and self.capacity_factor is not None:
            fits = taken & self._has_room(chosen, taken, self.capacity_factor)
        apply = self._apply_all_experts if on_mesh() else self._apply_experts
        y = apply(x, tf.nn.softmax(best), tf.where(fits, chosen, self.num_experts))
        if x.shape.rank == 2:
            return y, tf.zeros([3])  # generation: nobody asks
        dropped = tf.reduce_sum(tf.cast(taken & ~fits, tf.float32))
        return y, tf.stack([*self._router_sums(logits, chosen, taken), dropped])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "num_experts": self.num_experts,
            "experts_per_token": self.experts_per_token,
            "intermediate_dim": self.intermediate_dim,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "capacity_factor": self.capacity_factor,
        }

    def _add(self, name: str, shape: tuple[int, ...], dimensions: tuple[str, ...]) -> None:
        variable = self.add_weight(name=name, shape=(self.num_experts, *shape))
        self.projections[name] = name_dimensions(variable, "experts", *dimensions)

    def _has_room(self, chosen: tf.Tensor, taken: tf.Tensor, factor: float) -> tf.Tensor:
        """Whether each choice [B, T, k] is among the first ones of its expert: bool [B, T, k]."""
        batch, length, choices = sizes(chosen)
        share = tf.cast(choices * length, tf.float64) * (factor / self.num_experts)
        # Less than a token: 1.1 x 70 / 11 is 7, which rounding must not make 8.
        capacity = tf.cast(tf.math.ceil(share - 1e-6), tf.int32)
        # All first choices of the row, then all second ones.
        ordered = tf.reshape(tf.transpose(chosen, [0, 2, 1]), [batch, -1])
        counted = tf.reshape(tf.transpose(taken, [0, 2, 1]), [batch, -1])
        hits = tf.one_hot(ordered, self.num_experts, dtype=tf.int32) * tf.cast(
            counted[..., None], tf.int32
        )
        place = tf.gather(tf.cumsum(hits, axis=1), ordered, batch_dims=2)  # from 1
        fits = tf.reshape(place <= capacity, [batch, choices, length])
        return tf.transpose(fits, [0, 2, 1])

    def _apply_experts(self, x: tf.Tensor, weights: tf.Tensor, expert: tf.Tensor) -> tf.Tensor:
        """Sums the chosen experts' results; the expert number E stands for none."""
        hidden = x.shape[-1]
        tokens = tf.reshape(x, [-1, hidden])
        flat = tf.reshape(expert, [-1])  # [N k]
        places = tf.dynamic_partition(tf.range(tf.size(flat)), flat, self.num_experts + 1)
        matrices = {
            name: tf.unstack(tf.cast(tf.convert_to_tensor(variable), x.dtype))
            for name, variable in self.projections.items()
        }
        results = [
            self._expert(
                tf.gather(tokens, place // self.experts_per_token),
                {name: parts[number] for name, parts in matrices.items()},
            )
            for number, place in enumerate(places[:-1])
        ]
        results.append(tf.zeros([tf.size(places[-1]), hidden], x.dtype))
        joined = tf.dynamic_stitch(places, results)  # [N k, D]
        joined = tf.reshape(joined, [-1, self.experts_per_token, hidden])
        weights = tf.reshape(tf.cast(weights, x.dtype), [-1, self.experts_per_token, 1])
        return tf.reshape(tf.reduce_sum(joined * weights, axis=1), tf.shape(x))

    def _apply_all_experts(self, x: tf.Tensor, weights: tf.Tensor, expert: tf.Tensor) -> tf.Tensor:
        """The same sum, of x [B, T, D]: all experts compute all tokens, E / k times the work.

        DTensor cannot sort tokens by expert, and has no shapes that depend on their number.
        """
        chosen = tf.one_hot(expert, self.num_experts, dtype=x.dtype)  # [B, T, k, E]
        shares = tf.reduce_sum(chosen * tf.cast(weights, x.dtype)[..., None], axis=2)  # [B, T, E]
        by_expert = tf.transpose(shares, [2, 0, 1])
        matrices = {
            name: tf.cast(tf.convert_to_tensor(variable), x.dtype)
            for name, variable in self.projections.items()
        }

        def widen(name: str) -> tf.Tensor:
            y = tf.einsum("btd,edf->ebtf", x, matrices[name])
            if not self.use_bias:
                return y
            return y + tf.reshape(matrices[f"{name}_bias"], [self.num_experts, 1, 1, -1])

        gate = widen("gate") if "gate" in matrices else None
        wide = activate(self.activation, widen("up"), gate) * tf.expand_dims(by_expert, -1)
        y = tf.einsum("ebtf,efd->btd", wide, matrices["down"])
        return y + tf.matmul(shares, matrices["down_bias"]) if self.use_bias else y

    def _expert(self, x: tf.Tensor, matrices: dict[str, tf.Tensor]) -> tf.Tensor:
        def project(name: str, x: tf.Tensor) -> tf.Tensor:
            y = tf.matmul(x, matrices[name])
            return tf.nn.bias_add(y, matrices[f"{name}_bias"]) if self.use_bias else y

        gate = project("gate", x) if "gate" in matrices else None
        return project("down", activate(self.activation, project("up", x), gate))

    def _router_sums(
        self, logits: tf.Tensor, chosen: tf.Tensor, taken: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Load balance and z, each a sum over the real tokens of all rows."""
        counts = tf.cast(taken[..., :1], tf.float32)  # [B, T, 1]
        real = tf.reduce_sum(counts, axis=1)  # [B, 1]
        probability = tf.reduce_sum(tf.nn.softmax(logits) * counts, axis=1)  # [B, E], real * P
        hits = tf.reduce_sum(tf.one_hot(chosen, self.num_experts) * counts[..., None], axis=[1, 2])
        share = tf.math.divide_no_nan(hits, real * self.experts_per_token)  # f
        balance = self.num_experts * tf.reduce_sum(share * probability)
        z = tf.square(tf.reduce_logsumexp(logits, axis=-1, keepdims=True))
        return balance, tf.reduce_sum(z * counts)
