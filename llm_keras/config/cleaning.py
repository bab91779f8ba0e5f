"""What happens to documents beside the rules: screening, deduplication, redaction, mixture."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from llm_keras.config.base import Config, Fraction, PositiveFloat, PositiveInt


class Screening(Config):
    """Licences, opt-outs and lists; every list is a file that you give, nothing is fetched."""

    allowed_licences: tuple[str, ...] | None = Field(
        None, description="Tags to keep; null keeps every licence, of sources that are not private."
    )
    opt_out: tuple[str, ...] = Field(
        (), description="Files of addresses, domains, names or ids to leave out, one a line."
    )
    blocked_urls: tuple[str, ...] = Field(
        (), description="Files or folders of domains and addresses, as UT1 has them."
    )
    toxic_words: dict[str, str] = Field(
        {},
        description="Language code, or * for any: file of words or phrases, one a line.",
    )
    maximum_toxic_words: int = Field(0, description="More occurrences drop a document.", ge=0)


class Near(Config):
    """MinHash with locality-sensitive hashing; the defaults are FineWeb's.

    Two documents of Jaccard similarity s share a bucket with probability 1 - (1 - s^rows)^bands:
    0.57 at 0.7, 0.92 at 0.8, 1.00 at 0.9 with 14 bands of 8 rows.
    """

    unit: Literal["words", "characters"] = "words"
    ngram: PositiveInt = Field(5, description="Units in a shingle.")
    bands: PositiveInt = Field(14, le=1000)
    rows: PositiveInt = Field(8, description="Hashes in a band.", le=255)

    def probability(self, similarity: float) -> float:
        """That two documents of this Jaccard similarity are found.

        >>> round(Near().probability(0.8), 3)
        0.924
        """
        return 1 - (1 - similarity**self.rows) ** self.bands


class Deduplication(Config):
    """Which copies are removed; `exact` and `none` are short for the two plainest ways."""

    exact: bool = Field(True, description="Equal texts: one stays.")
    urls: bool = Field(False, description="Of one address the newest page stays, as C4.")
    lines: bool = Field(
        False, description="A line stays where it stands first in the corpus, as C4's."
    )
    minimum_words_left: PositiveInt = Field(
        20, description="With lines: documents of which fewer words are left are dropped."
    )
    near: Near | None = Field(None, description="Nearly equal texts; null keeps them.")
    index: str | None = Field(
        None,
        description="A folder that remembers documents of earlier runs: copies of them,"
        " and of their lines where lines is set, are dropped here. This run adds its own when it is"
        " complete.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        if values in ("exact", "none"):
            return {"exact": values == "exact"}
        return values


PersonalKind = Literal["email", "phone", "ip", "iban", "card", "key"]


class Redaction(Config):
    """Takes personal data and secrets out of texts, and notes where they stood."""

    kinds: tuple[PersonalKind, ...] = ("email", "phone", "ip", "iban", "card", "key")
    replacement: str = Field(
        "<{kind}>", description="What stands in their place; {kind} becomes the kind."
    )

    @field_validator("replacement")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        if "\0" in value or value.replace("{kind}", "").count("{"):
            raise ValueError(f"{value!r}: the only field is {{kind}}; write for example <{{kind}}>")
        return value


class Decontamination(Config):
    """Drops documents that share word n-grams with what the model will be judged by."""

    paths: tuple[str, ...] = Field(description="Text or JSON-lines files, or folders of them.")
    ngram: PositiveInt = Field(12, description="Words, lower case, without punctuation.")
    maximum_hits: int = Field(0, ge=0, description="More shared n-grams drop a document.")


class Mixture(Config):
    """How much of each source is trained on, in tokens.

    A source's share is its weight beside the others'; without weights its bytes to the power of
    1 / temperature. A source too small for its share is repeated, up to maximum_epochs.
    """

    temperature: PositiveFloat = Field(1.0, description="1: as much as there is; more: more even.")
    maximum_epochs: PositiveFloat = Field(
        4.0, description="Repeats beyond four teach little (Muennighoff et al. 2023)."
    )
    tolerance: Fraction = Field(
        0.05, description="A share further off, relative to itself, is named in the report."
    )
