"""The section `training.divergence` of a run file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llm_keras.config.base import Config, PositiveInt

Action = Literal["stop", "skip", "roll_back"]


class Divergence(Config):
    """What happens at a step whose loss or gradient is not finite, or whose loss is a spike."""

    on_nan: Action = Field(
        "stop",
        description="Loss or gradient not finite. stop: exit code 4; skip: on to the next batch"
        " without an update; roll_back: the state of the newest checkpoint of"
        " checkpoint_every_steps comes back, and training goes on with the next batch.",
    )
    spike_factor: Annotated[float, Field(gt=1)] | None = Field(
        None,
        description="A loss over so many times the median of the spike_window_steps before it is a"
        " spike; null: none is.",
    )
    spike_window_steps: PositiveInt = Field(
        100, description="Nothing is a spike before there were so many steps."
    )
    on_spike: Action = Field("skip", description="As on_nan.")
    max_in_a_row: PositiveInt = Field(
        3,
        description="So many bad steps without a good one between, or so many returns to one"
        " checkpoint, stop the run all the same.",
    )

    @property
    def rolls_back(self) -> bool:
        """Whether checkpoints decide what is learnt."""
        return "roll_back" in self._in_use

    @property
    def goes_on(self) -> bool:
        """Whether steps must be able to leave everything as it was."""
        return self._in_use != {"stop"} or self.spike_factor is not None

    @property
    def _in_use(self) -> set[Action]:
        return {self.on_nan} if self.spike_factor is None else {self.on_nan, self.on_spike}
