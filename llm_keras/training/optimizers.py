"""The optimizer of a run: AdamW with warm-up and cosine decay."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from llm_keras import config
from llm_keras.training.schedules import WarmupCosine


def build(settings: config.Training, variables: Sequence[keras.Variable]) -> keras.Optimizer:
    """Makes Keras's AdamW with the run's schedule, decay mask and clipping, and its slots.

    To be called under the strategy's scope, after the model is built and placed: slots follow
    their variables. The norm that is clipped is that of the whole gradient, because
    `Trainer` hands over gradients that are already summed over replicas.

    Args:
        settings: Section `training` of the run.
        variables: What is trained.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate=WarmupCosine(
            settings.optimizer.learning_rate,
            total_steps=settings.total_steps,
            warmup_steps=settings.schedule.warmup_steps,
            final_fraction=settings.schedule.final_fraction,
        ),
        weight_decay=settings.optimizer.weight_decay,
        beta_1=settings.optimizer.beta_1,
        beta_2=settings.optimizer.beta_2,
        epsilon=settings.optimizer.epsilon,
        global_clipnorm=settings.optimizer.clip_norm,
        name="adamw",  # Fixed: the slots' paths are names in checkpoints.
    )
    undecayed = [variable for variable in variables if not decays(variable)]
    optimizer.exclude_from_weight_decay(var_list=undecayed)
    optimizer.build(list(variables))
    return optimizer


def decays(variable: keras.Variable) -> bool:
    """Whether weight decay pulls a variable towards zero.

    Matrices decay, the token embedding among them: tied, it is the output projection. Gains and
    biases do not, because shrinking them changes a scale and simplifies nothing. Learned positions
    do not, because late ones are seen seldom and would fade.

    References:
        Loshchilov and Hutter 2019, section 2; Brown et al. 2020, appendix B (0.1 for GPT-3).
    """
    return len(variable.shape) >= 2 and "positions" not in getattr(variable, "dimensions", ())
