"""Which documents a corpus keeps: rules with the limits that the field published, and presets."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from llm_keras.config.base import (
    Config,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)


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


class Symbols(Config):
    """Drops documents of signs, bullets and cut lines (Gopher: Rae et al. 2021, appendix A1.1)."""

    maximum_hashes_per_word: NonNegativeFloat = 0.1
    maximum_ellipses_per_word: NonNegativeFloat = 0.1
    maximum_bullet_lines: Fraction = Field(0.9, description="Lines that begin with a bullet.")
    maximum_ellipsis_lines: Fraction = Field(0.3, description="Lines that end in an ellipsis.")
    minimum_alphabetic_words: Fraction = Field(0.8, description="Words that have a letter.")
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    minimum_stop_words: NonNegativeInt = Field(2, description="Different ones; English only.")


class C4(Config):
    """C4's heuristics on lines, then on what is left of the page (Raffel et al. 2020, 2.2).

    The defaults are those of the published corpus; FineWeb uses 3 words and 5 sentences.
    """

    end_punctuation: bool = Field(True, description="Keep only lines that end a sentence.")
    minimum_words_a_line: NonNegativeInt = 5
    maximum_word_characters: PositiveInt = 1000
    drop_javascript_lines: bool = True
    drop_policy_lines: bool = Field(True, description="Terms of use, cookies, privacy policy.")
    drop_lorem_ipsum: bool = True
    drop_curly_brackets: bool = True
    minimum_sentences: NonNegativeInt = 3
    maximum_characters: PositiveInt | None = Field(190_000, description="Of a page; null: any.")


class LineQuality(Config):
    """Drops pages of list entries and short lines (FineWeb: Penedo et al. 2024, section 3.6)."""

    minimum_punctuated_lines: Fraction = 0.12
    short_line_characters: PositiveInt = 30
    maximum_short_lines: Fraction = 0.67
    maximum_duplicate_line_characters: Fraction = 0.01
    maximum_newlines_per_word: NonNegativeFloat = 0.3


class CodeQuality(Config):
    """Drops code that nobody wrote by hand (BigCode: Li et al. 2023, StarCoder, section 3.2)."""

    maximum_line_characters: PositiveInt = 1000
    maximum_mean_line_characters: PositiveFloat = 100.0
    minimum_alphanumeric: Fraction = 0.25
    minimum_comments: Fraction = Field(0.01, description="Of the characters; known languages only.")
    maximum_comments: Fraction = 0.8


Preset = Literal["c4", "gopher", "fineweb", "bigcode", "none"]

_OFF: dict[str, Any] = {
    "length": None,
    "repetition": None,
    "symbols": None,
    "c4": None,
    "lines": None,
    "code": None,
}
#: The sections that a preset turns on, with what differs from the sections' own defaults.
PRESETS: dict[Preset, dict[str, Any]] = {
    "none": _OFF,
    "c4": _OFF | {"c4": {}},
    "gopher": _OFF | {"length": {}, "symbols": {}, "repetition": {}},
    "fineweb": _OFF
    | {
        "length": {},
        "symbols": {},
        "repetition": {},
        "c4": {
            "end_punctuation": False,
            "minimum_words_a_line": 3,
            "minimum_sentences": 5,
            "maximum_characters": None,
        },
        "lines": {},
    },
    "bigcode": _OFF | {"code": {}},
}


class Rules(Config):
    """The rules that a document must pass; a section that is null is off."""

    preset: Preset | None = Field(
        None,
        description="Turns on the sections of a published corpus: c4, gopher, fineweb (Gopher, C4"
        " and its own), bigcode, or none. null: length and repetition, which fit any language."
        " What a section says goes before the preset.",
    )
    length: Length | None = Field(default=Length(), description="null turns the rule off.")
    repetition: Repetition | None = Field(default=Repetition(), description="null turns it off.")
    symbols: Symbols | None = None
    c4: C4 | None = None
    lines: LineQuality | None = None
    code: CodeQuality | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        preset = values.get("preset") if isinstance(values, dict) else None
        if preset not in PRESETS:
            return values
        filled = dict(values)
        for section, defaults in PRESETS[preset].items():
            given = values.get(section, defaults)
            both = isinstance(given, dict) and isinstance(defaults, dict)
            filled[section] = defaults | given if both else given
        return filled
