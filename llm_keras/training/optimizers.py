"""The optimizer of a run: AdamW, Adafactor, Lion or Muon, on the run's schedule.

Which variable is treated how is decided here, by two questions: whether it decays, and whether it
is a hidden matrix, which muP and Muon single out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from llm_keras import config
from llm_keras.fusion import fusible
from llm_keras.training import schedules
from llm_keras.training.adafactor import Adafactor
from llm_keras.training.muon import Muon
from llm_keras.training.rate_factors import RateFactors

#: muP: the learning rate of hidden matrices falls with this power of the width multiplier. AdamW's
#: and Lion's steps have one size at all widths and must shrink as the sums over inputs grow;
#: Adafactor's are in units of the weights, which are smaller by the root already; Muon's have the
#: same norm as a map at all widths.
WIDTH_EXPONENTS = {"adamw": -1.0, "lion": -1.0, "adafactor": -0.5, "muon": 0.0}


@keras.saving.register_keras_serializable(package="llm_keras")
class AdamW(RateFactors, keras.optimizers.AdamW):
    """Keras's AdamW with a factor of the learning rate for each variable.

    A variable's update is one pass over it and its slots, where `llm_keras.fusion` may compile it:
    the weights do not fit into a processor's cache, so that passes are what an update costs.

    Raises:
        ValueError: AMSGrad is asked for.
    """

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes the slots."""
        if self.amsgrad:
            raise ValueError("AdamW here has no AMSGrad; leave amsgrad out, or take Keras's AdamW")
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's update; called by Keras."""
        place = self._get_variable_index(variable)
        mean, square = self._momentums[place], self._velocities[place]
        update = tf.cast(self.iterations + 1, tf.float32)
        correction = tf.sqrt(1 - self.beta_2**update) / (1 - self.beta_1**update)
        decays = self.weight_decay is not None and self._use_weight_decay(variable)
        values = _adamw(
            tf.convert_to_tensor(variable),
            tf.convert_to_tensor(mean),
            tf.convert_to_tensor(square),
            gradient,
            self.rate_of(variable, learning_rate) * correction,
            learning_rate * (self.weight_decay if decays else 0.0),
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )
        for written, value in zip((variable, mean, square), values, strict=True):
            self.assign(written, value)

    def _apply_weight_decay(self, variables: Any) -> None:
        """Nothing: `update_step` decays."""


@fusible
def _adamw(
    weight: tf.Tensor,
    mean: tf.Tensor,
    square: tf.Tensor,
    gradient: tf.Tensor,
    rate: tf.Tensor,
    decay: tf.Tensor,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The weight and its slots after an update.

    Args:
        weight: Decayed before it is updated, as are all by Keras.
        mean: Of gradients.
        square: Mean of their squares.
        gradient: Of this update.
        rate: The learning rate, with the correction of means that began at zero.
        decay: Part of the weight that is lost.
        beta_1: Of the mean.
        beta_2: Of the mean of squares.
        epsilon: Added to the root.
    """
    mean += (gradient - mean) * (1 - beta_1)
    square += (tf.square(gradient) - square) * (1 - beta_2)
    weight -= weight * decay
    return weight - rate * mean / (tf.sqrt(square) + epsilon), mean, square


@keras.saving.register_keras_serializable(package="llm_keras")
class Lion(RateFactors, keras.optimizers.Lion):
    """Keras's Lion with a factor of the learning rate for each variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's update; called by Keras."""
        super().update_step(gradient, variable, self.rate_of(variable, learning_rate))


def build(
    settings: config.Training,
    variables: Sequence[keras.Variable],
    width_multiplier: float = 1.0,
) -> keras.Optimizer:
    """Makes the optimizer with the run's schedule, decay mask and clipping, and its slots.

    To be called under the strategy's scope, after the model is built and placed: slots follow
    their variables. The norm that is clipped is that of the whole gradient, because
    `Trainer` hands over gradients that are already summed over replicas.

    Args:
        settings: Section `training` of the run.
        variables: What is trained.
        width_multiplier: Of `config.Model`; not 1 with muP.

    References:
        Loshchilov and Hutter 2019, algorithm 2 (AdamW); Chen et al. 2023, algorithm 2 (Lion); see
        also `adafactor` and `muon`. muP: Yang et al. 2022, table 8; for AdamW, and for the others
        by the same reasoning.
    """
    hidden = [variable for variable in variables if is_hidden_matrix(variable)]
    optimizer = _new(settings)
    if isinstance(optimizer, Muon):
        optimizer.orthogonalize(hidden)
    optimizer.scale_learning_rate(
        hidden, width_multiplier ** WIDTH_EXPONENTS[settings.optimizer.kind]
    )
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if not decays(v)])
    optimizer.build(list(variables))
    return optimizer


def _new(settings: config.Training) -> RateFactors:
    """The optimizer without variables."""
    chosen = settings.optimizer
    common: dict[str, Any] = {
        "learning_rate": schedules.build(settings),
        "weight_decay": chosen.weight_decay,
        "global_clipnorm": chosen.clip_norm,
        "name": chosen.kind,  # Fixed: the slots' paths are names in checkpoints.
    }
    if chosen.kind == "adafactor":
        return Adafactor(**common)
    betas: dict[str, Any] = {"beta_1": chosen.beta_1, "beta_2": chosen.beta_2}
    if chosen.kind == "lion":
        return Lion(**common, **betas)
    if chosen.kind == "adamw":
        return AdamW(**common, **betas, epsilon=chosen.epsilon)
    return Muon(
        **common,
        **betas,
        epsilon=chosen.epsilon,
        muon_rate_factor=chosen.muon_learning_rate / chosen.learning_rate,
        momentum=chosen.muon_momentum,
    )


def decays(variable: keras.Variable) -> bool:
    """Whether weight decay pulls a variable towards zero.

    Matrices decay, the token embedding among them: tied, it is the output projection. Gains and
    biases do not, because shrinking them changes a scale and simplifies nothing. Positions
    do not, because late ones are seen seldom and would fade.

    References:
        Loshchilov and Hutter 2019, section 2; Brown et al. 2020, appendix B (0.1 for GPT-3).
    """
    is_bias = variable.path.endswith("bias")  # Those of experts have an axis more.
    return len(variable.shape) >= 2 and not is_bias and not _names(variable) & _PLACES


def is_hidden_matrix(variable: keras.Variable) -> bool:
    """Whether a variable maps hidden features to hidden features: a block's matrix.

    Embeddings and the output projection are not: one of their sides is the vocabulary, and does not
    grow with the model's width.
    """
    return decays(variable) and not _names(variable) & {"vocabulary", "token_types"}


#: Logical dimensions that count positions, or distances between them.
_PLACES = frozenset({"positions", "buckets"})


def _names(variable: keras.Variable) -> frozenset[str]:
    """The logical dimensions of a variable, where its layer names them."""
    return frozenset(getattr(variable, "dimensions", ()))
