"""Learning rate as a function of the step: a linear warm-up, then a fall.

With s steps done, this one included, W to warm up, T in all, D the last ones of a decay, the peak p
and a final fraction f, the rate is ``p * min(s / W, fall(s))``, where `fall` is

- constant: ``1``
- linear: ``1 - (1 - f) * x``, with ``x = (s - W) / (T - W)`` held in [0, 1]
- cosine: ``f + (1 - f) * (1 + cos(pi * x)) / 2``, with the same x
- warm-up, stable, decay: ``1 - (1 - f) * x``, with ``x = (s - T + D) / D`` held in [0, 1]
- noam: ``sqrt(W / s)``

So no step is lost at rate 0, step W runs at the peak, and step T, the last, at ``f * p``; later
steps stay there. W = 0 starts with the fall.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from llm_keras import config


def build(settings: config.Training) -> Warmup:
    """The schedule that the section `training` of a run asks for."""
    peak, schedule = settings.optimizer.learning_rate, settings.schedule
    if schedule.kind == "noam":
        return Noam(peak, schedule.warmup_steps)
    if schedule.kind == "constant":
        return Warmup(peak, schedule.warmup_steps)
    lengths = {"total_steps": settings.total_steps, "warmup_steps": schedule.warmup_steps}
    if schedule.kind == "linear":
        return WarmupLinear(peak, **lengths, final_fraction=schedule.final_fraction)
    if schedule.kind == "cosine":
        return WarmupCosine(peak, **lengths, final_fraction=schedule.final_fraction)
    decay_steps = round(schedule.decay_fraction * settings.total_steps)
    return WarmupStableDecay(
        peak, **lengths, decay_steps=decay_steps, final_fraction=schedule.final_fraction
    )


@keras.saving.register_keras_serializable(package="llm_keras")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to the peak and stays there; the others fall from it by their own `fall`.

    ``rate = peak * min(s / W, fall(s))``

    Args:
        peak: Largest learning rate.
        warmup_steps: W; 0 starts at the peak.

    Call arguments:
        step: Updates applied before this one, as `optimizer.iterations` counts them.

    Returns:
        float32 scalar.

    >>> [round(float(Warmup(0.5, warmup_steps=2)(step)), 3) for step in range(3)]
    [0.25, 0.5, 0.5]
    """

    def __init__(self, peak: float, warmup_steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        """The rate of the update that follows `step` others."""
        done = ops.cast(step, "float32") + 1.0
        rising = done / max(self.warmup_steps, 1)
        return self.peak * ops.minimum(rising, self.fall(done))

    def fall(self, done: Any) -> Any:
        """Fraction of the peak at the step that makes `done`; at least 1 during the warm-up."""
        return ops.ones_like(done)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable(package="llm_keras")
class Noam(Warmup):
    """Rises linearly, then falls with the inverse root of the step.

    ``rate = peak * min(s / W, sqrt(W / s))``, the paper's ``d**-0.5 * min(s**-0.5, s * W**-1.5)``
    with a peak of ``(d * W)**-0.5``.

    Args:
        peak: Largest learning rate.
        warmup_steps: W, at least 1.

    References:
        Vaswani et al. 2017, section 5.3, equation 3.
    """

    def fall(self, done: Any) -> Any:
        """See the class."""
        return ops.sqrt(self.warmup_steps / done)


class _Ending(Warmup):
    """A schedule that knows its last step."""

    def __init__(
        self, peak: float, total_steps: int, warmup_steps: int, final_fraction: float = 0.1
    ) -> None:
        super().__init__(peak, warmup_steps)
        self.total_steps = total_steps
        self.final_fraction = final_fraction

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "total_steps": self.total_steps,
            "final_fraction": self.final_fraction,
        }


@keras.saving.register_keras_serializable(package="llm_keras")
class WarmupLinear(_Ending):
    """Rises linearly to the peak, then falls linearly to a fraction of it.

    Args:
        peak: Largest learning rate.
        total_steps: T.
        warmup_steps: W, at most T; 0 starts with the fall.
        final_fraction: f. Default 0.1.

    References:
        Devlin et al. 2019, appendix A.2 (with f = 0).
    """

    def fall(self, done: Any) -> Any:
        """See the module."""
        way = _way(done, self.warmup_steps, self.total_steps)
        return 1.0 - (1.0 - self.final_fraction) * way


@keras.saving.register_keras_serializable(package="llm_keras")
class WarmupCosine(_Ending):
    """Rises linearly to the peak, then falls along a cosine to a fraction of it.

    Args:
        peak: Largest learning rate.
        total_steps: T.
        warmup_steps: W, at most T; 0 starts with the fall.
        final_fraction: f. Default 0.1, as GPT-3.

    References:
        Loshchilov and Hutter 2017, equation 5, one period; Brown et al. 2020, appendix B (warm-up,
        final fraction).
    """

    def fall(self, done: Any) -> Any:
        """See the module."""
        half = (1.0 - self.final_fraction) / 2.0
        way = _way(done, self.warmup_steps, self.total_steps)
        return (self.final_fraction + half) + half * ops.cos(math.pi * way)


@keras.saving.register_keras_serializable(package="llm_keras")
class WarmupStableDecay(_Ending):
    """Rises linearly to the peak, stays there, and falls linearly in the last steps.

    Args:
        peak: Largest learning rate.
        total_steps: T.
        warmup_steps: W, at most T.
        decay_steps: D, at most T; where it is more than T - W, the fall begins right after the
            warm-up and is as much shorter.
        final_fraction: f. Default 0.1.

    References:
        Hu et al. 2024 (MiniCPM), section 4.2; the decay is linear as in Hägele et al. 2024,
        section 3.
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int,
        decay_steps: int,
        final_fraction: float = 0.1,
    ) -> None:
        super().__init__(peak, total_steps, warmup_steps, final_fraction)
        self.decay_steps = decay_steps

    def fall(self, done: Any) -> Any:
        """See the module."""
        begin = max(self.warmup_steps, self.total_steps - self.decay_steps)
        return 1.0 - (1.0 - self.final_fraction) * _way(done, begin, self.total_steps)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "decay_steps": self.decay_steps}


def _way(done: Any, begin: int, end: int) -> Any:
    """How much of the way from step `begin` to step `end` is done, in [0, 1]."""
    return ops.clip((done - begin) / max(end - begin, 1), 0.0, 1.0)
