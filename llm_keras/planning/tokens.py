"""How many tokens there are to train on: counted if the corpus exists, else estimated."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_keras import config
from llm_keras.run_folder import RunFolder

#: Bytes of text that a token stands for, roughly: English at a vocabulary of some ten thousand.
BYTES_PER_TOKEN = 4
#: By how much these shrink text, roughly; .bzz is a SWORD Bible's.
COMPRESSION, COMPRESSED = 3, {".gz", ".zst", ".bzz"}


@dataclass(frozen=True)
class Tokens:
    """Tokens to train on, and how the number came about."""

    count: int | None  #: None: nobody knows yet.
    origin: str


def available(run: config.Run, folder: RunFolder | None) -> Tokens:
    """Tokens of the training split: from the manifest where there is one, else from file sizes.

    Of aligned pairs those of the translations.

    Args:
        run: The run.
        folder: Its folder; None if there is none.
    """
    if folder is not None and folder.manifest.is_file():
        counts = json.loads(folder.manifest.read_text(encoding="utf-8"))["splits"]["train"]
        return Tokens(counts["tokens"], f"counted in {folder.manifest}")
    paths = (source.target_path or source.path for source in run.corpus.sources)
    size = sum(_text_bytes(file) for path in paths for file in _files(path))
    if not size:
        return Tokens(None, "no source file was found")
    kept = size * (1 - run.corpus.validation_fraction)
    return Tokens(
        round(kept / BYTES_PER_TOKEN),
        f"estimated: {BYTES_PER_TOKEN} bytes of source text a token, nothing filtered out",
    )


def _files(path: str) -> Iterator[Path]:
    """The files of a source: a folder's, one, or those that a glob finds."""
    for found in map(Path, sorted(glob.glob(path, recursive=True))):  # noqa: PTH207 - any pattern
        if found.is_dir():
            yield from (inner for inner in found.rglob("*") if inner.is_file())
        else:
            yield found


def _text_bytes(path: Path) -> int:
    size = path.stat().st_size
    return size * COMPRESSION if path.suffix in COMPRESSED else size
