"""Learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="llm_keras")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to the peak, then falls along a cosine to a fraction of it.

    With s steps done, this one included, W to warm up and T in all::

        s <= W:  peak * s / W
        s >  W:  peak * (f + (1 - f) * (1 + cos(pi * (s - W) / (T - W))) / 2)

    The first step is not lost at rate 0, the peak is reached at step W, and step T, the last, runs
    at ``f * peak``; later steps stay there.

    Args:
        peak: Largest learning rate.
        total_steps: T.
        warmup_steps: W, at most T; 0 starts at the peak.
        final_fraction: f. Default 0.1, as GPT-3.

    Call arguments:
        step: Updates applied before this one, as `optimizer.iterations` counts them.

    Returns:
        float32 scalar.

    References:
        Loshchilov and Hutter 2017, equation 5, one period; Brown et al. 2020, appendix B (warm-up,
        final fraction).
    """

    def __init__(
        self, peak: float, total_steps: int, warmup_steps: int, final_fraction: float = 0.1
    ) -> None:
        super().__init__()
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.final_fraction = final_fraction

    def __call__(self, step: Any) -> Any:
        """The rate of the update that follows `step` others."""
        done = ops.cast(step, "float32") + 1.0
        rising = done / max(self.warmup_steps, 1)
        falling_steps = max(self.total_steps - self.warmup_steps, 1)
        way = ops.clip((done - self.warmup_steps) / falling_steps, 0.0, 1.0)
        half = (1.0 - self.final_fraction) / 2.0
        falling = (self.final_fraction + half) + half * ops.cos(math.pi * way)
        return self.peak * ops.minimum(rising, falling)  # falling is 1 while rising is below it

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "final_fraction": self.final_fraction,
        }
