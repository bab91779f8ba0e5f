"""A whole run file, and what its sections must agree on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from llm_keras.config import presets
from llm_keras.config.base import Config, NonNegativeInt
from llm_keras.config.corpus import MASK_SYMBOL, Corpus, Records, Tokenizer
from llm_keras.config.model import Model
from llm_keras.config.training import Masking, Training
from llm_keras.config.use import Evaluation, Generation, Serving


class Run(Config):
    """Everything one run needs; the sections follow the data's path."""

    purpose: str = Field("", description="What the model is for: a sentence for the report.")
    seed: NonNegativeInt = 0
    preset: str | None = Field(
        None,
        description="A published shape and recipe that the sections below start from; what they"
        f" say themselves goes first. One of: {', '.join(presets.NAMES)}.",
    )
    corpus: Corpus = Corpus()
    tokenizer: Tokenizer
    records: Records
    model: Model
    training: Training
    generation: Generation = Generation()
    evaluation: Evaluation = Evaluation()
    serving: Serving = Serving()

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and isinstance(settings.get("preset"), str):
            return presets.fill(settings, settings["preset"])
        return settings

    @model_validator(mode="after")
    def _parts_fit(self) -> Run:
        length, block = self.records.sequence_length, self.model.attention_block_length
        if block and length % block:
            raise ValueError(
                f"records.sequence_length {length} is not a multiple of"
                f" model.attention_block_length {block}; change one of them"
            )
        if self.corpus.sources and (self.model.kind == "encoder_decoder") > self.corpus.has_targets:
            raise ValueError(
                "an encoder_decoder learns from pairs; give the sources a target_field or a"
                " target_path"
            )
        if self.corpus.has_targets and self.model.kind == "masked_lm":
            raise ValueError("a masked_lm learns from plain text, but the sources give pairs")
        if self.training.masking != Masking() and self.model.kind != "masked_lm":
            raise ValueError(
                f"training.masking belongs to a masked_lm, not a {self.model.kind}; remove it"
            )
        buckets = self.records.buckets
        if buckets and (list(buckets) != sorted(set(buckets)) or buckets[-1] != length):
            raise ValueError(
                f"records.buckets {list(buckets)} must rise to records.sequence_length {length}"
            )
        if buckets and self.model.kind != "encoder_decoder":
            raise ValueError("records.buckets belongs to an encoder_decoder; remove it")
        if self.model.kind == "masked_lm" and not self.tokenizer.has_mask:
            raise ValueError(
                "a masked_lm learns what a mask piece hides; add the line `user_symbols:"
                f" [{MASK_SYMBOL}]` under tokenizer"
            )
        if self.training.jit_compile and self.model.experts:
            raise ValueError(
                "training.jit_compile cannot be used with model.experts: how many tokens an expert"
                " gets is known while it runs, and XLA must know it before; remove it"
            )
        if self.generation.num_beams > 1 and self.model.kind == "masked_lm":
            raise ValueError("generation.num_beams: a masked_lm generates nothing; remove it")
        return self
