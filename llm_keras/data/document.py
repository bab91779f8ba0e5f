"""The one thing that flows through curation: a document, its identity and its split."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

from llm_keras import config

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

#: Hexadecimal digits of an id: 96 bits, so that a chance collision among 10**10 is below 1e-8.
ID_DIGITS = 24


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One text with what is known about it.

    Args:
        id: `document_id(...)`; the same text of the same place has the same id on every runner.
        text: Its lines end in one line feed; nothing else of the source was changed.
        source: Name of the source in the run file.
        subset: Part of the source, for sources that are made of parts; else None.
        language: The source's language tag, else the language identified, else None.
        licence: Licence tag of the document, else of the source.
        url: Where it was found, if the source says so.
        target: What is to be answered to `text`, such as its translation; None: nothing is, the
            text itself is to be continued.
        locator: Its file below the source's root, and its place in an archive after `#`.
        timestamp: When it was written or fetched, ISO 8601, if the source says so.
        consent: Whether those whose text it is agreed to its use; None: nobody said.
        private: Whether it may not leave the house.
        redacted: (start, end, kind) of what was replaced in `text`, in characters of the new text.
    """

    id: str
    text: str
    source: str
    subset: str | None = None
    language: str | None = None
    licence: str = "unknown"
    url: str | None = None
    target: str | None = None
    locator: str | None = None
    timestamp: str | None = None
    consent: bool | None = None
    private: bool = False
    redacted: tuple[tuple[int, int, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, in the schema's order; optional ones where they say something."""
        fields = dict(zip(FIELDS, self.as_tuple(), strict=True))
        return {
            name: value
            for name, value in fields.items()
            if name in ALWAYS_WRITTEN or value not in (None, False, ())
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Document:
        """The inverse of `as_dict`, also after a way through JSON."""
        redacted = tuple((start, end, kind) for start, end, kind in fields.get("redacted", ()))
        return cls(**{**fields, "redacted": redacted})

    def as_tuple(self) -> tuple[Any, ...]:
        """The fields in the order of the schema."""
        return tuple(getattr(self, name) for name in FIELDS)

    @property
    def content(self) -> str:
        """The whole of it, by which it is equal to another: the text, or the pair."""
        return pair_content(self.text, self.target)

    @property
    def size_bytes(self) -> int:
        """UTF-8 bytes of the text, and of the target if there is one."""
        return len(self.text.encode()) + len((self.target or "").encode())


FIELDS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Document))
ALWAYS_WRITTEN = frozenset(("id", "text", "source", "subset", "language", "licence", "url"))


def document_id(source: str, locator: str, content: str) -> str:
    """Makes the id of `content`, found at `locator` of `source`.

    It depends on where and what, never on an order: a locator is a path below the source's
    root, not a row number. Equal texts in one file therefore share an id.

    >>> document_id("letters", "1790/first.txt", "Dear Sir")
    'letters:ca5e3fa80a8c21ec9cba98d2'
    """
    parts = "\0".join((source, locator, content)).encode()
    return f"{source}:{hashlib.sha256(parts).hexdigest()[:ID_DIGITS]}"


def pair_content(text: str, target: str | None) -> str:
    """One string for a text and its target; no text holds the NUL between them."""
    return text if target is None else f"{text}\0{target}"


def content_digest(text: str) -> bytes:
    """16 bytes that are equal for equal texts: the key of exact deduplication."""
    return hashlib.sha256(text.encode()).digest()[:16]


def unify_newlines(text: str) -> str:
    r"""Makes every line end one line feed; changes nothing else.

    >>> unify_newlines("one\r\ntwo\rthree\n")
    'one\ntwo\nthree\n'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def splits_of(corpus: config.Corpus) -> tuple[Split, ...]:
    """The splits that a corpus has: `test` only where something is held out for it."""
    return SPLITS if corpus.test_fraction else SPLITS[:2]


def split_of(document: Document, corpus: config.Corpus, seed: int) -> Split:
    """The split of a document: of its subset where subsets are held out whole, else of its id.

    What is not in a subset for validation may still be held out for the test split.
    """
    if document.subset is not None and document.subset in corpus.validation_subsets:
        return "validation"
    validation = 0.0 if corpus.validation_subsets else corpus.validation_fraction
    return split(document.id, seed, validation, corpus.test_fraction)


def split(
    document_id: str, seed: int, validation_fraction: float, test_fraction: float = 0.0
) -> Split:
    """Puts a document into a split by a hash of its id alone.

    Args:
        document_id: The id; documents added later never move the ones already there.
        seed: Another seed holds out another sample.
        validation_fraction: Probability of being held out for validation.
        test_fraction: Probability of being held out for the test split; it takes from training
            alone, so that another one leaves validation as it is.

    >>> [split(f"letters:{i}", seed=0, validation_fraction=0.5) for i in range(3)]
    ['train', 'validation', 'validation']
    """
    digest = hashlib.sha256(f"split\0{seed}\0{document_id}".encode()).digest()
    uniform = int.from_bytes(digest[:8], "big") / 2**64
    if uniform < validation_fraction:
        return "validation"
    return "test" if uniform > 1 - test_fraction else "train"


def write_json_lines(file: IO[bytes], rows: Iterable[dict[str, Any]]) -> int:
    """Writes one JSON object a line as gzip, the same bytes every time; returns the rows written.

    The gzip header holds neither time nor file name. Level 4 packs 2.6 times as fast as the usual
    6, into 7 % more bytes (the State of the Union addresses).
    """
    count = 0
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=4) as packed:
        for row in rows:
            packed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def read_documents(path: Path) -> Iterator[Document]:
    """Streams the documents of one curated `.jsonl.gz` file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield Document.from_dict(json.loads(line))


def document_files(folder: Path, split: Split) -> list[Path]:
    """The curated files of one split, in order of their number."""
    return sorted(folder.glob(f"{split}-*-of-*.jsonl.gz"))
