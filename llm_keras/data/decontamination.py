"""Finds documents that hold passages of the texts a model will be judged by.

A passage is a run of n words, in lower case and without punctuation (`shingles`); a document is hit
by each one that it shares with an evaluation text. Runs are compared by 64-bit numbers: among 10**9
passages and 10**9 of a corpus a chance hit has probability 0.05.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras import config
from llm_keras.data import shingles
from llm_keras.data.rules.verdict import KEEP, Verdict, drop
from llm_keras.data.shingles import Hashes, Indices
from llm_keras.errors import UserError

REASON = "contaminated"
_SUFFIXES = frozenset((".txt", ".text", ".md", ".jsonl", ".json"))


class Contamination:
    """The passages of evaluation texts.

    Args:
        ngram: Words in a passage.
        files: Names of the evaluation files.
        hashes: Passages, uint64 [m], sorted; one that stands in two files is there twice.
        owners: For each the number of its file, int64 [m].
    """

    def __init__(self, ngram: int, files: tuple[str, ...], hashes: Hashes, owners: Indices) -> None:
        self.ngram, self.files, self.hashes, self.owners = ngram, files, hashes, owners

    @classmethod
    def load(cls, settings: config.Decontamination) -> Contamination:
        """Reads the evaluation texts.

        A text file is one text; of JSON lines every string is one. A text of fewer words than a
        passage is found only where it is the whole of a document.

        Raises:
            UserError: A file cannot be read, or there are none; names it.
        """
        files = [file for path in settings.paths for file in _files(Path(path))]
        names = _short_names(files)
        parts, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for number, file in enumerate(files):
            hashes = _passages(list(_texts(file)), settings.ngram)
            parts.append(hashes)
            owners.append(np.full(len(hashes), number))
        hashes = np.concatenate(parts)
        order = np.argsort(hashes, kind="stable")
        return cls(settings.ngram, names, hashes[order], np.concatenate(owners)[order])

    def write(self, path: Path) -> None:
        """Writes the passages' numbers to a file, from which `open` makes this again."""
        header = json.dumps({"ngram": self.ngram, "files": self.files}).encode()
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.write(self.hashes.astype("<u8").tobytes() + self.owners.astype("<i8").tobytes())

    @classmethod
    def open(cls, path: Path) -> Contamination:
        """Reads what `write` wrote."""
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        hashes, owners = np.split(np.frombuffer(content[8 + size :], "<u8"), 2)
        return cls(
            header["ngram"],
            tuple(header["files"]),
            hashes.astype(np.uint64),
            owners.astype(np.int64),
        )

    def hits(self, text: str) -> dict[str, int]:
        """The evaluation files that share passages with a text, and how many different ones."""
        return self.hits_of([text])[0]

    def hits_of(self, texts: Sequence[str]) -> list[dict[str, int]]:
        """`hits` of several texts at once, which is faster."""
        found: list[set[int]] = [set() for _ in texts]
        if len(self.hashes):
            for block in shingles.blocks(texts, "words", self.ngram):
                places = np.searchsorted(self.hashes, block.hashes)
                places[places == len(self.hashes)] = 0
                shared = np.flatnonzero(self.hashes[places] == block.hashes)
                texts_of = np.searchsorted(block.starts, shared, side="right") - 1 + block.first
                for number, place in zip(texts_of.tolist(), places[shared].tolist(), strict=True):
                    found[number].add(place)
        return [self._by_file(places) for places in found]

    def verdict(self, hits: Mapping[str, int], maximum: int) -> Verdict:
        """Drops a document of more than `maximum` hits in any one file."""
        count = max(hits.values(), default=0)
        if count <= maximum:
            return KEEP
        names = ", ".join(sorted(hits))
        return drop(REASON, f"{count} > {maximum} passages of {self.ngram} words: {names}")

    def _by_file(self, places: set[int]) -> dict[str, int]:
        """Counts passages, given by their first place, for each file that has them."""
        counts: dict[str, int] = {}
        for first in places:
            place = first
            while place < len(self.hashes) and self.hashes[place] == self.hashes[first]:
                name = self.files[int(self.owners[place])]
                counts[name] = counts.get(name, 0) + 1
                place += 1
        return dict(sorted(counts.items()))


def _passages(texts: Sequence[str], ngram: int) -> Hashes:
    """Every different passage of some texts."""
    parts = [block.hashes for block in shingles.blocks(texts, "words", ngram)]
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))


def _files(path: Path) -> list[Path]:
    """A file, or those of a folder."""
    if path.is_file():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and file.suffix in _SUFFIXES and not file.name.startswith(".")
    )
    if not found:
        raise UserError(
            f"decontaminate.paths: {path} is no file, and no folder with files that end in"
            f" {', '.join(sorted(_SUFFIXES))}"
        )
    return found


def _short_names(files: Sequence[Path]) -> tuple[str, ...]:
    """Each file's name; with its folder's where two are called alike."""
    names = [file.name for file in files]
    return tuple(
        name if names.count(name) == 1 else str(file)
        for file, name in zip(files, names, strict=True)
    )


def _texts(file: Path) -> Iterator[str]:
    """The texts of an evaluation file."""
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "no UTF-8"
        raise UserError(f"{file}: evaluation texts cannot be read: {problem}") from None
    if file.suffix not in (".jsonl", ".json"):
        yield content
        return
    lines = content.split("\n") if file.suffix == ".jsonl" else [content]
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield from _strings(json.loads(line))
            except (ValueError, RecursionError):
                raise UserError(f"{file}: line {number} is no JSON") from None


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, names of fields aside."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
