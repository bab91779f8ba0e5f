"""The sections of a run file that make rows of tokens from sources: corpus, tokenizer, records."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from llm_keras.config.base import Config, Fraction, PositiveInt, Rate
from llm_keras.config.cleaning import (
    Decontamination,
    Deduplication,
    Mixture,
    Redaction,
    Screening,
)
from llm_keras.config.rules import Language, Rules
from llm_keras.config.sources import Source

#: Pieces that every tokenizer has, whatever its training text: pad, unk, bos, eos and 256 bytes.
RESERVED_PIECES = 4
BYTE_PIECES = 256
#: The user symbol that stands for what a masked_lm must guess.
MASK_SYMBOL = "<mask>"
_TAKEN_PIECE = re.compile(r"<pad>|<unk>|</?s>|<0x[0-9A-F]{2}>")
#: SentencePiece's space and our escape (`tokenizers.escapes`) cannot be told from text in a symbol.
_NOT_IN_SYMBOLS = frozenset(" \0\u2581\ufdd0\ufdd1\ufdd2")


class Corpus(Rules):
    """Stage `curate`: which documents are kept."""

    sources: tuple[Source, ...] = Field((), description="At least one to curate from.")
    language: Language | None = Field(default=Language(), description="null turns the rule off.")
    screening: Screening = Screening()
    deduplicate: Deduplication = Deduplication()
    redact: Redaction | None = Field(
        None, description="Names and numbers to take out; private sources always are, in any case."
    )
    decontaminate: Decontamination | None = Field(
        None, description="null: documents are not compared with evaluation sets."
    )
    mixture: Mixture | None = Field(
        None, description="null: every document is trained on once, whatever its source."
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="Fraction of documents held out, chosen by a hash of their id."
    )
    validation_subsets: tuple[str, ...] = Field(
        (), description="Subsets held out whole, such as books; then nothing else is held out."
    )
    test_fraction: Rate = Field(
        0.0, description="Fraction held out beside, that neither training nor validation sees."
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
        if len({source.has_targets for source in self.sources}) > 1:
            raise ValueError(
                "some sources give pairs (target_field, target_path) and some give plain text; a"
                " run trains on one or the other: make a run of each"
            )
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction:g} and test_fraction"
                f" {self.test_fraction:g} leave nothing to train on; lower one"
            )
        return self

    @property
    def has_targets(self) -> bool:
        """Whether the documents are pairs."""
        return any(source.has_targets for source in self.sources)

    def rules_of(self, source: str) -> Rules:
        """The rules for the documents of a source: its own, else the corpus's."""
        return next((each.rules for each in self.sources if each.name == source), None) or self


class Tokenizer(Config):
    """Stage `tokenizer`: the SentencePiece model trained from the curated corpus."""

    kind: Literal["bpe", "unigram", "imported"] = Field(
        "bpe", description="imported: the one that came with `llm-keras import`."
    )
    vocabulary_size: PositiveInt = Field(description="Pieces, special and byte pieces included.")
    user_symbols: tuple[str, ...] = Field((), description="Strings that are always one piece.")
    character_coverage: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9995, description="Fraction of characters with a piece; the others become bytes."
    )
    sample_bytes: PositiveInt = Field(
        50_000_000, description="Text to train on: documents by hash of their id up to this size."
    )

    @property
    def has_mask(self) -> bool:
        """Whether there is a piece for what a masked_lm must guess, as far as is known here."""
        return self.kind == "imported" or MASK_SYMBOL in self.user_symbols

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
        if self.vocabulary_size < least and self.kind != "imported":
            raise ValueError(
                f"vocabulary_size {self.vocabulary_size} is below {least}: {RESERVED_PIECES}"
                f" special, {BYTE_PIECES} byte and {len(self.user_symbols)} user pieces come first;"
                " raise it"
            )
        return self


class Records(Config):
    """Stage `tokenize`: rows of constant size in TFRecord shards, packed or one a pair."""

    sequence_length: Annotated[int, Field(gt=1, le=65_535)] = Field(
        description="Tokens the model sees at once; a row holds one more, for the last target."
    )
    buckets: tuple[PositiveInt, ...] = Field(
        (),
        description="encoder_decoder: lengths that pairs are filled up to, rising, the last one"
        " sequence_length; none: 16, then half as much more each time.",
    )
    packing: Literal["stream", "best_fit"] = Field(
        "stream",
        description="stream: documents one after the other, cut where a row ends, no padding;"
        " best_fit: only what is longer than a row is cut, the rest is fitted in, at the price of"
        " some padding.",
    )
    shards: PositiveInt = Field(
        4, description="Training files, of each bucket; the other splits have a quarter, >= 1."
    )
    workers: PositiveInt = Field(1, description="Local Beam worker processes.")
