"""Documents that were taken down, and must not come back: `corpus/takedowns.jsonl`.

One JSON object a line, appended and never changed: `begun` with the ids before anything is removed,
`done` when all is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_keras import files
from llm_keras.errors import UserError

FILE_NAME = "takedowns.jsonl"
#: The reason under which curation and tokenization drop what is listed.
REASON = "takedown"
BEGUN, DONE = "begun", "done"


def entries(corpus: Path) -> Iterator[dict[str, Any]]:
    """The lines of the list; none where nothing was ever taken down.

    Raises:
        UserError: One is damaged: what it lists would come back.
    """
    path = corpus / FILE_NAME
    if path.exists():
        yield from parse(path.read_bytes(), str(path))


def parse(content: bytes, name: str) -> Iterator[dict[str, Any]]:
    """The lines of a list, wherever it was read.

    Raises:
        UserError: One is damaged: what it lists would come back.
    """
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            entry = dict(json.loads(line))
            good = entry["state"] in (BEGUN, DONE) and all(
                isinstance(each, str) for each in entry["ids"]
            )
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise UserError(
                f"{name}: line {number} is damaged, and what it lists would come back; restore it"
            )
        yield entry


def taken_down(corpus: Path) -> frozenset[str]:
    """The ids of all documents that were taken down.

    Raises:
        UserError: The list is damaged.
    """
    return frozenset(each for entry in entries(corpus) for each in entry["ids"])


def unfinished(corpus: Path) -> set[str]:
    """Ids of which a takedown was begun and did not end.

    Raises:
        UserError: The list is damaged.
    """
    ids: set[str] = set()
    for entry in entries(corpus):
        if entry["state"] == DONE:
            ids.difference_update(entry["ids"])
        else:
            ids.update(entry["ids"])
    return ids


def append(corpus: Path, entry: dict[str, Any]) -> None:
    """Adds a line, whole or not at all."""
    path = corpus / FILE_NAME
    before = path.read_bytes() if path.exists() else b""
    files.write_whole(path, before + json.dumps(entry, ensure_ascii=False).encode() + b"\n")
