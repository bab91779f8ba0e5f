"""The settings of one run: one YAML file, validated whole before anything starts.

A run file has a section for each stage of the path. Every model here is frozen; a key that is not
known is an error. Nothing in this module imports TensorFlow, so that planning and `--help` stay
instant. Reading a file, overriding fields and reporting mistakes is `llm_keras.run_file`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

#: Pieces that every tokenizer has, whatever its training text: pad, unk, bos, eos and 256 bytes.
RESERVED_PIECES = 4
BYTE_PIECES = 256
_TAKEN_PIECE = re.compile(r"<pad>|<unk>|</?s>|<0x[0-9A-F]{2}>")
#: SentencePiece's space and our escape (`tokenizers.escapes`) cannot be told from text in a symbol.
_NOT_IN_SYMBOLS = frozenset(" \0\u2581\ufdd0\ufdd1\ufdd2")


class Config(BaseModel):
    """Base of every section: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_numbers(cls, value: Any, info: Any) -> Any:
        """YAML reads `yes` and `on` as booleans, and Python counts those as the number 1."""
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and annotation in (int, float):
            raise ValueError("expected a number, not a boolean")
        return value


class Source(Config):
    """Where one part of the corpus comes from."""

    name: str = Field(description="Short name; part of every document's id, counted on its own.")
    kind: Literal["text", "jsonl"] = Field(
        description="text: one document a file; jsonl: one JSON object a line, also .gz and .zst."
    )
    path: str = Field(description="A folder, a file or a glob, relative to where you run.")
    language: str | None = Field(
        None, description="Language tag given to every document; null: the one identified."
    )
    licence: str = Field("unknown", description="Licence tag given to every document.")
    text_field: str = Field("text", description="jsonl: the key that holds the text.")
    encoding: str = Field("utf-8", description="Encoding of the files.")


class Language(Config):
    """Names each document's language (fastText lid.176) and keeps those that are wanted."""

    keep: tuple[str, ...] = Field(
        (), description="Language codes to keep, such as en; empty keeps all, named but unjudged."
    )
    minimum_score: Fraction = Field(
        0.65, description="Least confidence where codes are given, as FineWeb."
    )


class Length(Config):
    """Keeps documents of a usual size and usual words (Gopher: Rae et al. 2021, table A1)."""

    minimum_words: NonNegativeInt = 50
    maximum_words: PositiveInt = 100_000
    minimum_mean_word_length: NonNegativeFloat = Field(3.0, description="Characters.")
    maximum_mean_word_length: PositiveFloat = Field(10.0, description="Characters.")


class Repetition(Config):
    """Drops documents that repeat themselves (Gopher: Rae et al. 2021, table A1).

    Each value is the largest fraction that is kept.
    """

    duplicate_lines: Fraction = 0.30
    duplicate_paragraphs: Fraction = 0.30
    duplicate_line_characters: Fraction = 0.20
    duplicate_paragraph_characters: Fraction = 0.20
    top_ngram_characters: dict[PositiveInt, Fraction] = Field(
        default={2: 0.20, 3: 0.18, 4: 0.16},
        description="n: fraction of characters in the most frequent n-gram.",
    )
    duplicate_ngram_characters: dict[PositiveInt, Fraction] = Field(
        default={5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10},
        description="n: fraction of characters in n-grams that occur more than once.",
    )


class Corpus(Config):
    """Stage `curate`: which documents are kept."""

    sources: tuple[Source, ...] = Field(min_length=1)
    language: Language | None = Field(default=Language(), description="null turns the rule off.")
    length: Length | None = Field(default=Length(), description="null turns the rule off.")
    repetition: Repetition | None = Field(default=Repetition(), description="null turns it off.")
    deduplicate: Literal["exact", "none"] = "exact"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="Fraction of documents held out, chosen by a hash of their id."
    )
    maximum_dead_fraction: Fraction = Field(
        0.01, description="More unreadable documents than this fraction fail the stage."
    )
    shards: PositiveInt = Field(4, description="Files that the curated documents are written to.")
    workers: PositiveInt = Field(1, description="Local Beam worker processes.")

    @model_validator(mode="after")
    def _names_differ(self) -> Corpus:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two sources share the name {repeated[0]!r}; give each its own")
        return self


class Tokenizer(Config):
    """Stage `tokenizer`: the SentencePiece model trained from the curated corpus."""

    kind: Literal["bpe", "unigram"] = "bpe"
    vocabulary_size: PositiveInt = Field(description="Pieces, special and byte pieces included.")
    user_symbols: tuple[str, ...] = Field((), description="Strings that are always one piece.")
    character_coverage: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9995, description="Fraction of characters with a piece; the others become bytes."
    )
    sample_bytes: PositiveInt = Field(
        50_000_000, description="Text to train on: documents by hash of their id up to this size."
    )

    @field_validator("user_symbols")
    @classmethod
    def _symbols_can_be_pieces(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in symbols:
            if not 1 <= len(symbol) <= 64 or set(symbol) & _NOT_IN_SYMBOLS:
                raise ValueError(
                    f"{symbol!r} cannot be one piece: expected 1 to 64 characters without a space,"
                    " NUL, U+2581 and U+FDD0 to U+FDD2; take another string"
                )
            if _TAKEN_PIECE.fullmatch(symbol):
                raise ValueError(f"{symbol!r} is a piece that every model has; take another string")
            if symbols.count(symbol) > 1:
                raise ValueError(f"{symbol!r} stands twice; remove one")
        return symbols

    @model_validator(mode="after")
    def _room_for_pieces(self) -> Tokenizer:
        least = RESERVED_PIECES + BYTE_PIECES + len(self.user_symbols) + 1
        if self.vocabulary_size < least:
            raise ValueError(
                f"vocabulary_size {self.vocabulary_size} is below {least}: {RESERVED_PIECES}"
                f" special, {BYTE_PIECES} byte and {len(self.user_symbols)} user pieces come first;"
                " raise it"
            )
        return self


class Records(Config):
    """Stage `tokenize`: packed rows of constant size in TFRecord shards."""

    sequence_length: Annotated[int, Field(gt=1, le=65_535)] = Field(
        description="Tokens the model sees at once; a row holds one more, for the last target."
    )
    shards: PositiveInt = Field(4, description="Training files; validation has a quarter, >= 1.")
    workers: PositiveInt = Field(1, description="Local Beam worker processes.")


class Model(Config):
    """The shape of the transformer."""

    kind: Literal["causal_lm"] = "causal_lm"
    num_layers: PositiveInt
    hidden_dim: PositiveInt
    intermediate_dim: PositiveInt = Field(description="Width of the feed-forward layer.")
    num_query_heads: PositiveInt
    num_key_value_heads: PositiveInt | None = Field(
        None, description="Fewer than the query heads: grouped-query attention; null: as many."
    )
    head_dim: PositiveInt | None = Field(None, description="null: hidden_dim / num_query_heads.")
    positions: Literal["rotary", "learned", "sinusoidal"] = "rotary"
    rope_max_wavelength: PositiveFloat = 10_000.0
    activation: Literal["swiglu", "gelu", "gelu_tanh", "relu"] = "swiglu"
    normalization: Literal["rms_norm", "layer_norm"] = "rms_norm"
    normalization_epsilon: PositiveFloat = 1e-5
    norm_placement: Literal["pre", "post"] = "pre"
    use_bias: bool = Field(False, description="Biases in attention and feed-forward projections.")
    tie_embeddings: bool = Field(True, description="The output projection is the token embedding.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initializer_range: PositiveFloat = Field(0.02, description="Standard deviation of the weights.")
    attention_block_length: PositiveInt | None = Field(
        None,
        description="Queries attended at once, so that masked-out keys are skipped; must divide"
        " records.sequence_length. null: whole rows.",
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> Model:
        if self.head_dim is None and self.hidden_dim % self.num_query_heads:
            raise ValueError(
                f"hidden_dim {self.hidden_dim} is not a multiple of num_query_heads"
                f" {self.num_query_heads}; change one of them or set head_dim"
            )
        if self.num_query_heads % self.key_value_heads:
            raise ValueError(
                f"num_query_heads {self.num_query_heads} is not a multiple of"
                f" num_key_value_heads {self.key_value_heads}; change one of them"
            )
        if self.positions == "rotary" and self.head_size % 2:
            raise ValueError(
                f"rotary positions turn pairs, but head_dim is {self.head_size}; make it even"
            )
        if self.positions == "sinusoidal" and self.hidden_dim % 2:
            raise ValueError(f"sinusoidal positions need an even hidden_dim, not {self.hidden_dim}")
        return self

    @property
    def key_value_heads(self) -> int:
        """Key and value heads: `num_key_value_heads`, or as many as query heads."""
        return self.num_key_value_heads or self.num_query_heads

    @property
    def head_size(self) -> int:
        """Features of one head: `head_dim`, or an equal part of `hidden_dim`."""
        return self.head_dim or self.hidden_dim // self.num_query_heads


class Optimizer(Config):
    """AdamW (Loshchilov and Hutter 2019); matrices decay, gains and biases do not."""

    learning_rate: PositiveFloat = Field(1e-3, description="Peak of the schedule.")
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.95
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    clip_norm: PositiveFloat | None = Field(
        1.0, description="Largest global gradient norm, after summing over devices; null: none."
    )


class Schedule(Config):
    """Linear warm-up, then cosine decay to a fraction of the peak."""

    warmup_steps: NonNegativeInt = 100
    final_fraction: Fraction = 0.1


class Parallelism(Config):
    """How a step is spread over devices."""

    strategy: Literal["mirrored"] = "mirrored"
    data: PositiveInt = Field(1, description="Replicas, each with its part of the batch.")


class Training(Config):
    """Stage `train`."""

    total_steps: PositiveInt
    global_batch_size: PositiveInt = Field(description="Rows a step, over all devices.")
    gradient_accumulation_steps: PositiveInt = Field(1, description="Micro-batches a step.")
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    parallelism: Parallelism = Parallelism()
    rematerialization: Literal["none", "block"] = Field(
        "none", description="block: keep only block borders, recompute the rest backwards."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of the computation; weights are always float32."
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    z_loss: NonNegativeFloat = 0.0
    validate_every_steps: PositiveInt = 200
    validation_rows: PositiveInt = Field(256, description="Most rows of one validation.")
    checkpoint_every_steps: PositiveInt = 200
    keep_checkpoints: PositiveInt = 2

    @model_validator(mode="after")
    def _batch_divides(self) -> Training:
        parts = self.parallelism.data * self.gradient_accumulation_steps
        if self.global_batch_size % parts:
            raise ValueError(
                f"global_batch_size {self.global_batch_size} is not a multiple of"
                f" parallelism.data {self.parallelism.data} x gradient_accumulation_steps"
                f" {self.gradient_accumulation_steps} = {parts}; change one of them"
            )
        if self.schedule.warmup_steps > self.total_steps:
            raise ValueError(
                f"schedule.warmup_steps {self.schedule.warmup_steps} exceeds total_steps"
                f" {self.total_steps}; lower it"
            )
        return self


class Generation(Config):
    """How text is continued when a request does not say."""

    max_new_tokens: PositiveInt = 64
    temperature: NonNegativeFloat = Field(0.8, description="0 is greedy.")
    top_k: NonNegativeInt = Field(0, description="0 keeps all tokens.")
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    repetition_penalty: PositiveFloat = 1.0


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


class Serving(Config):
    """Command `serve`."""

    model_name: str = Field("model", pattern=r"^[A-Za-z0-9_.-]+$")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8501, description="0: any free port.")


class Run(Config):
    """Everything one run needs; the sections follow the data's path."""

    purpose: str = Field("", description="What the model is for: a sentence for the report.")
    seed: NonNegativeInt = 0
    corpus: Corpus
    tokenizer: Tokenizer
    records: Records
    model: Model
    training: Training
    generation: Generation = Generation()
    evaluation: Evaluation = Evaluation()
    serving: Serving = Serving()

    @model_validator(mode="after")
    def _parts_fit(self) -> Run:
        length, block = self.records.sequence_length, self.model.attention_block_length
        if block and length % block:
            raise ValueError(
                f"records.sequence_length {length} is not a multiple of"
                f" model.attention_block_length {block}; change one of them"
            )
        return self
