"""Where a corpus comes from: `corpus.sources` of a run file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from llm_keras.config.base import Config, NonNegativeFloat, PositiveFloat, PositiveInt
from llm_keras.config.rules import Rules

SourceKind = Literal[
    "text",
    "jsonl",
    "parquet",
    "hugging_face",
    "parallel",
    "warc",
    "wet",
    "html",
    "wikipedia",
    "latex",
    "gutenberg",
    "captions",
    "code",
    "documents",
    "fetch",
]


class Columns(Config):
    """Which field of a row is what; `meta.set.name` is a field within fields.

    A field other than the text that a row lacks is as if it were not named.
    """

    text: str = "text"
    target: str | None = Field(
        None,
        description="What the model must answer to the text; null: it continues the text itself."
        " Nothing comes between the two but what the text ends in.",
    )
    url: str | None = "url"
    subset: str | None = Field(None, description="The Pile: meta.pile_set_name.")
    language: str | None = None
    licence: str | None = Field(
        None, description="One tag, or a list of tags: all must be allowed."
    )
    timestamp: str | None = None
    name: str | None = Field(
        None, description="A path within the data set, such as max_stars_repo_path."
    )


class Latex(Config):
    """How LaTeX becomes text."""

    equations: Literal["keep", "replace", "drop"] = Field(
        "keep", description="keep: as LaTeX; replace: one [equation] for each; drop: nothing."
    )


class Code(Config):
    """What is taken from a tree, an archive or a table of code."""

    allowed_licences: tuple[str, ...] = Field(
        (
            "0BSD",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "CC0-1.0",
            "ISC",
            "MIT",
            "Unlicense",
            "Zlib",
        ),
        description="SPDX tags; code of any other licence, or of none that is known, is dropped.",
    )
    vendored: bool = Field(False, description="Whether to keep code copied from other projects.")
    generated: bool = Field(False, description="Whether to keep minified and generated files.")


class Fetch(Config):
    """How pages are fetched; nothing is, unless a source of kind fetch asks for it."""

    user_agent: str = Field(description="Who fetches, with an address to complain to.")
    seconds_between_requests: PositiveFloat = Field(1.0, description="To one host.")
    timeout_seconds: PositiveFloat = 20.0
    maximum_bytes: PositiveInt = Field(10_000_000, description="Of one page.")
    maximum_redirects: int = 5
    obey_opt_out: bool = Field(
        True, description="Leave pages that say noai, or reserve text and data mining."
    )


class Source(Config):
    """Where one part of the corpus comes from."""

    name: str = Field(description="Short name; part of every document's id, counted on its own.")
    kind: SourceKind = Field(
        description="text: one document a file; jsonl: one JSON object a line, also .gz and .zst;"
        " parquet: tables; hugging_face: a data set's folder as the Hub lays it out; parallel:"
        " pairs of a text and its translation; warc, wet: web crawls; html: saved pages;"
        " wikipedia: an XML dump; latex: arXiv's sources; gutenberg: books with their header;"
        " captions: SRT, WebVTT, SBV; code: trees and archives; documents: a private folder of"
        " txt, md, html, docx, pdf, eml, mbox; fetch: addresses to fetch politely, one a line."
    )
    path: str = Field(
        description="A folder, a file or a glob, relative to where you run, or of a file system"
        " that Beam knows, such as gs://bucket/folder; hugging_face: also"
        " hf://datasets/OWNER/NAME[@REVISION][/FOLDER]."
    )
    allow_network: bool = Field(
        False, description="hugging_face: whether curation may download a path of hf://, once."
    )
    language: str | None = Field(
        None,
        description="Language tag given to every document, and believed of pairs; null: the one"
        " identified.",
    )
    licence: str = Field(
        "unknown", description="Licence tag given to every document whose file names none."
    )
    consent: bool | None = Field(
        None,
        description="Whether those whose text it is agreed to its use. Private sources without a"
        " licence are used only where this is true.",
    )
    private: bool | None = Field(
        None,
        description="Whether the text may not leave the house; null: of kind documents it may not.",
    )
    priority: int = Field(
        0, description="Of equal or nearly equal documents that of the highest stays."
    )
    weight: NonNegativeFloat | None = Field(
        None,
        description="Share of the tokens trained on, beside the weights of others; see mixture.",
    )
    columns: Columns | None = Field(
        None, description="jsonl, parquet, hugging_face: the names of fields, where not the usual."
    )
    rules: Rules | None = Field(
        None, description="Rules for this source, in the place of the corpus's."
    )
    text_field: str = Field("text", description="jsonl: short for columns.text.")
    target_field: str | None = Field(None, description="jsonl: short for columns.target.")
    target_path: str | None = Field(
        None,
        description="parallel: the translation of path: a file with as many lines, a folder of"
        " files of the same names, or a SWORD Bible module as path is.",
    )
    latex: Latex = Latex()
    code: Code = Code()
    fetch: Fetch | None = None
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
        if self.is_of_hub and self.kind != "hugging_face":
            raise ValueError(
                f"source {self.name}: kind hugging_face reads {self.path}, not {self.kind}"
            )
        if self.allow_network and not self.is_of_hub:
            raise ValueError(
                f"source {self.name}: allow_network belongs to a path of hf://, not {self.path}"
            )
        if self.columns is not None and self.kind not in (
            "jsonl",
            "parquet",
            "hugging_face",
            "code",
        ):
            raise ValueError(
                f"source {self.name}: columns belong to kinds jsonl, parquet, hugging_face and"
                f" code, not {self.kind}"
            )
        if (self.kind == "fetch") != (self.fetch is not None):
            raise ValueError(
                f"source {self.name}: kind fetch has a section fetch with a user_agent, other kinds"
                f" have none; kind is {self.kind}"
            )
        return self

    @property
    def fields(self) -> Columns:
        """The names of fields, however they were given."""
        if self.columns is not None:
            return self.columns
        return Columns(text=self.text_field, target=self.target_field)

    @property
    def has_targets(self) -> bool:
        """Whether each document is a pair: what is given, and what is to be answered."""
        return self.target_path is not None or self.fields.target is not None

    @property
    def is_of_hub(self) -> bool:
        """Whether its path names a data set of the Hugging Face Hub."""
        return self.path.startswith("hf://")

    @property
    def is_private(self) -> bool:
        """Whether its text may not leave the house."""
        return self.kind == "documents" if self.private is None else self.private
