"""The sections of a run file for what becomes of a model: generation, evaluation, serving."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llm_keras.config.base import (
    Config,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Rate,
)


class Generation(Config):
    """How text is continued when a request does not say."""

    max_new_tokens: PositiveInt = 64
    temperature: NonNegativeFloat = Field(0.8, description="0 is greedy.")
    top_k: NonNegativeInt = Field(0, description="0 keeps all tokens.")
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    min_p: Rate = Field(
        0.0, description="Drops tokens less probable than this times the most probable."
    )
    repetition_penalty: PositiveFloat = 1.0
    num_beams: PositiveInt = Field(
        1, description="Hypotheses of beam search; 1 samples. Translation uses 4 or so."
    )
    length_penalty: NonNegativeFloat = Field(
        0.6, description="Beam search: exponent of ((5 + length) / 6) (Wu et al. 2016, 7)."
    )


class Evaluation(Config):
    """Stage `evaluate`, on the held-out documents."""

    batch_size: PositiveInt = Field(16, description="Rows at once.")
    prompts: tuple[str, ...] = Field(
        (),
        description="Continued by the model in the report; none: held-out documents' first words.",
    )
    baseline_tokens: PositiveInt = Field(
        20_000_000, description="Most training tokens that the n-gram baselines count."
    )
    translation_pairs: PositiveInt = Field(
        500, description="encoder_decoder: most held-out pairs translated, evenly spread."
    )


class Serving(Config):
    """Command `serve`."""

    model_name: str = Field("model", pattern=r"^[A-Za-z0-9_.-]+$")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8501, description="0: any free port.")
