"""The sections of a run file that make rows of tokens from sources: corpus, tokenizer, records."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from llm_keras.config.base import (
    Config,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

#: Pieces that every tokenizer has, whatever its training text: pad, unk, bos, eos and 256 bytes.
RESERVED_PIECES = 4
BYTE_PIECES = 256
#: The user symbol that stands for what a masked_lm must guess.
MASK_SYMBOL = "<mask>"
_TAKEN_PIECE = re.compile(r"<pad>|<unk>|</?s>|<0x[0-9A-F]{2}>")
#: SentencePiece's space and our escape (`tokenizers.escapes`) cannot be told from text in a symbol.
_NOT_IN_SYMBOLS = frozenset(" \0\u2581\ufdd0\ufdd1\ufdd2")


class Source(Config):
    """Where one part of the corpus comes from."""

    name: str = Field(description="Short name; part of every document's id, counted on its own.")
    kind: Literal["text", "jsonl", "parallel"] = Field(
        description="text: one document a file; jsonl: one JSON object a line, also .gz and .zst;"
        " parallel: pairs of a text and its translation."
    )
    path: str = Field(description="A folder, a file or a glob, relative to where you run.")
    language: str | None = Field(
        None,
        description="Language tag given to every document, and believed of pairs; null: the one"
        " identified.",
    )
    licence: str = Field("unknown", description="Licence tag given to every document.")
    text_field: str = Field("text", description="jsonl: the key that holds the text.")
    target_field: str | None = Field(
        None,
        description="jsonl: the key of what the model must answer to the text; null: it continues"
        " the text itself. Nothing comes between the two but what the text ends in.",
    )
    target_path: str | None = Field(
        None,
        description="parallel: the translation of path: a file with as many lines, a folder of"
        " files of the same names, or a SWORD Bible module as path is.",
    )
    encoding: str = Field("utf-8", description="Encoding of the files.")

    @model_validator(mode="after")
    def _fields_belong_to_kind(self) -> Source:
        if (self.kind == "parallel") != (self.target_path is not None):
            raise ValueError(
                f"source {self.name}: kind parallel has a path and a target_path, other kinds have"
                f" no target_path; kind is {self.kind}"
            )
        if self.target_field is not None and self.kind != "jsonl":
            raise ValueError(
                f"source {self.name}: target_field belongs to kind jsonl, not {self.kind}"
            )
        return self

    @property
    def has_targets(self) -> bool:
        """Whether each document is a pair: what is given, and what is to be answered."""
        return self.target_path is not None or self.target_field is not None


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

    sources: tuple[Source, ...] = Field((), description="At least one to curate from.")
    language: Language | None = Field(default=Language(), description="null turns the rule off.")
    length: Length | None = Field(default=Length(), description="null turns the rule off.")
    repetition: Repetition | None = Field(default=Repetition(), description="null turns it off.")
    deduplicate: Literal["exact", "none"] = "exact"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="Fraction of documents held out, chosen by a hash of their id."
    )
    validation_subsets: tuple[str, ...] = Field(
        (), description="Subsets held out whole, such as books; then nothing else is held out."
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
        return self

    @property
    def has_targets(self) -> bool:
        """Whether the documents are pairs."""
        return any(source.has_targets for source in self.sources)


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
    shards: PositiveInt = Field(
        4, description="Training files, of each bucket; validation has a quarter, >= 1."
    )
    workers: PositiveInt = Field(1, description="Local Beam worker processes.")
