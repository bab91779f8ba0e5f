"""The section `training` of a run file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from llm_keras.config.base import (
    Config,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Rate,
)
from llm_keras.config.divergence import Divergence

#: Strategies whose gradient is made on one device each.
COMPILED = ("mirrored", "multi_worker")


class Optimizer(Config):
    """How weights follow gradients; matrices decay, gains and biases do not."""

    kind: Literal["adamw", "adafactor", "lion", "muon"] = Field(
        "adamw",
        description="adamw: Loshchilov and Hutter 2019; adafactor: Shazeer and Stern 2018; lion:"
        " Chen et al. 2023; muon: Jordan 2024 for the blocks' matrices, AdamW for the rest.",
    )
    learning_rate: PositiveFloat = Field(1e-3, description="Peak of the schedule.")
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.95
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    clip_norm: PositiveFloat | None = Field(
        1.0, description="Largest global gradient norm, after summing over devices; null: none."
    )
    muon_momentum: Rate = Field(0.95, description="muon: of the blocks' matrices.")
    muon_learning_rate: PositiveFloat = Field(
        0.02, description="muon: peak for the blocks' matrices; learning_rate is AdamW's."
    )


class Schedule(Config):
    """The learning rate over the steps: a linear warm-up, then a fall."""

    kind: Literal["cosine", "linear", "noam", "warmup_stable_decay", "constant"] = Field(
        "cosine",
        description="After the warm-up. noam: with 1 / sqrt(step) (Vaswani et al. 2017, 5.3);"
        " warmup_stable_decay: flat, then linear over decay_fraction of all steps.",
    )
    warmup_steps: NonNegativeInt = 100
    final_fraction: Fraction = Field(
        0.1, description="Of the peak, at the last step; not for noam and constant."
    )
    decay_fraction: Fraction = Field(
        0.1, description="warmup_stable_decay: the last part of the steps."
    )

    @model_validator(mode="after")
    def _noam_warms_up(self) -> Schedule:
        if self.kind == "noam" and not self.warmup_steps:
            raise ValueError("noam falls from its warm-up's end; warmup_steps must be at least 1")
        return self


class Masking(Config):
    """What a masked_lm must guess (Devlin et al. 2019, section 3.1)."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(0.15, description="Of the tokens.")
    masked: Fraction = Field(0.8, description="Of those, shown as the mask piece.")
    random: Fraction = Field(0.1, description="Of those, shown as a random token; the rest stay.")

    @model_validator(mode="after")
    def _parts_of_one(self) -> Masking:
        if self.masked + self.random > 1:
            raise ValueError(
                f"masked {self.masked} and random {self.random} exceed 1 together; lower one"
            )
        return self


class Lora(Config):
    """Trains a low-rank addition to frozen matrices (Hu et al. 2022)."""

    rank: PositiveInt = 8
    alpha: PositiveFloat = Field(16.0, description="The addition is multiplied by alpha / rank.")
    targets: tuple[Literal["query", "key", "value", "output", "gate", "up", "down"], ...] = Field(
        ("query", "value"), min_length=1, description="Projections that get one."
    )


class Parallelism(Config):
    """How a step is spread over devices: their number is the product of the three degrees."""

    strategy: Literal["mirrored", "multi_worker", "dtensor", "pipeline", "layers"] = Field(
        "mirrored",
        description="mirrored: replicas in this process; multi_worker: over processes that"
        " `llm-keras launch` or TF_CONFIG names; dtensor: matrices in pieces on a mesh; pipeline:"
        " stages that work on micro-batches at once; layers: stages one after the other.",
    )
    data: PositiveInt = Field(1, description="Parts of every batch.")
    model: PositiveInt = Field(1, description="Pieces of heads, wide layers and vocabulary.")
    stage: PositiveInt = Field(1, description="Groups of blocks that follow each other.")
    shard_weights: Literal["none", "slots", "all"] = Field(
        "none",
        description="What is cut over `data` besides: the optimizer's slots (ZeRO-1), or weights,"
        " gradients and slots (ZeRO-3, FSDP).",
    )
    schedule: Literal["1f1b", "gpipe"] = Field(
        "1f1b", description="Order of a pipeline's micro-batches."
    )
    split_cpu: PositiveInt = Field(
        1, description="Shows the CPU as so many devices, to try parallelism without GPUs."
    )
    stall_seconds: PositiveInt = Field(
        600,
        description="Of several processes: one that waits longer for the others ends, so that all"
        " end. Longer than the slowest start, step and save.",
    )

    @model_validator(mode="after")
    def _strategy_cuts_matrices(self) -> Parallelism:
        on_mesh = self.strategy == "dtensor"
        if not on_mesh and (self.model > 1 or self.shard_weights != "none"):
            raise ValueError(
                f"model {self.model} and shard_weights {self.shard_weights} cut matrices, which"
                f" strategy {self.strategy} keeps whole; set strategy to dtensor, or model to 1 and"
                " shard_weights to none"
            )
        if self.stage > 1 and self.strategy not in ("dtensor", "pipeline", "layers"):
            raise ValueError(
                f"stage {self.stage} cuts the model between blocks, which strategy {self.strategy}"
                " does not; set strategy to pipeline or layers, or stage to 1"
            )
        if self.strategy == "layers" and self.data > 1:
            raise ValueError(
                f"data {self.data} needs as many replicas of each stage, and strategy layers has"
                " one; set strategy to pipeline, or data to 1"
            )
        if on_mesh and self.stage > 1:
            raise ValueError(
                f"stage {self.stage} cuts the model between blocks, but strategy dtensor cuts"
                " within them; set stage to 1, or strategy to pipeline and model to 1"
            )
        return self

    @property
    def devices(self) -> int:
        """How many there must be."""
        return self.data * self.model * self.stage

    @property
    def product(self) -> str:
        """That number with its factors, for messages."""
        factors = f"data {self.data} x model {self.model} x stage {self.stage}"
        return f"{factors} = {self.devices}"


class Training(Config):
    """Stage `train`."""

    total_steps: PositiveInt
    global_batch_size: PositiveInt = Field(
        description="Rows a step, over all devices; of shorter pairs as many more as give the same"
        " number of tokens."
    )
    gradient_accumulation_steps: PositiveInt = Field(1, description="Micro-batches a step.")
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    parallelism: Parallelism = Parallelism()
    rematerialization: Literal["none", "attention", "block", "every_n", "full"] = Field(
        "none",
        description="What the backward pass makes again instead of keeping it. attention: all"
        " within attention; block: all but the borders of blocks; every_n: all but the borders of"
        " groups of rematerialization_blocks; full: the least memory, at two more forward passes.",
    )
    rematerialization_blocks: PositiveInt = Field(2, description="every_n: blocks of a group.")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="Of the computation; weights are always float32. float16: for devices without"
        " bfloat16; the loss is scaled so that small gradients do not vanish.",
    )
    jit_compile: bool = Field(
        False, description="XLA for forward and backward pass; of one device, or of replicas."
    )
    label_smoothing: Rate = 0.0
    z_loss: NonNegativeFloat = 0.0
    masking: Masking = Masking()
    lora: Lora | None = Field(None, description="null: all weights are trained.")
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Of a running mean of the weights, which is then what is judged and"
        " exported; null: the weights themselves.",
    )
    validate_every_steps: PositiveInt = 200
    validation_rows: PositiveInt = Field(256, description="Most rows of one validation.")
    checkpoint_every_steps: PositiveInt = 200
    keep_checkpoints: PositiveInt = Field(2, description="The newest; the other two add to them.")
    keep_every_steps: PositiveInt | None = Field(
        None, description="Checkpoints of multiples of it are kept for ever; null: none."
    )
    keep_best: NonNegativeInt = Field(
        0, description="How many with the lowest validation loss; they are also saved at once."
    )
    use_best: bool = Field(
        False,
        description="Whether the kept checkpoint with the lowest validation loss is evaluated,"
        " exported and generates, and not the newest.",
    )
    divergence: Divergence = Divergence()
    tensorboard: bool = Field(False, description="Curves for TensorBoard, in tensorboard/.")
    profile_steps: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="First and last step of a trace for TensorBoard's profiler, in profile/."
    )

    @model_validator(mode="after")
    def _batch_divides(self) -> Training:
        parts = self.parallelism.data * self.gradient_accumulation_steps
        if self.global_batch_size % parts:
            raise ValueError(
                f"global_batch_size {self.global_batch_size} is not a multiple of"
                f" parallelism.data {self.parallelism.data} x gradient_accumulation_steps"
                f" {self.gradient_accumulation_steps} = {parts}; change one of them"
            )
        if self.schedule.warmup_steps > self.total_steps and self.schedule.kind != "noam":
            raise ValueError(
                f"schedule.warmup_steps {self.schedule.warmup_steps} exceeds total_steps"
                f" {self.total_steps}; lower it"
            )
        return self

    @model_validator(mode="after")
    def _steps_are_profiled(self) -> Training:
        if self.profile_steps is not None:
            first, last = self.profile_steps
            if not first <= last <= self.total_steps:
                raise ValueError(
                    f"profile_steps {first} to {last} are no steps of 1 to {self.total_steps}, the"
                    " first one first; change one of them"
                )
        return self

    @model_validator(mode="after")
    def _compiles(self) -> Training:
        strategy = self.parallelism.strategy
        if self.jit_compile and strategy not in COMPILED:
            raise ValueError(
                f"jit_compile cannot be used with parallelism.strategy {strategy}, whose step"
                f" crosses devices, as XLA's cannot; leave it out, or use {' or '.join(COMPILED)}"
            )
        return self

    @model_validator(mode="after")
    def _lora_can_leave_zero(self) -> Training:
        if self.lora is not None and self.optimizer.kind == "adafactor":
            raise ValueError(
                "adafactor steps in units of the weights, and lora's begin at zero; choose another"
                " optimizer.kind"
            )
        return self
