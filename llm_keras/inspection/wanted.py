"""Finds the lines about a document in the files of a corpus, by its id or its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_keras.data import curated
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder

#: Ids of one beginning that are looked for; with more of them it is no use going on.
MOST_IDS = 20
#: Ids that an error names.
MOST_NAMED = 3


@dataclass(frozen=True)
class Found:
    """A line of one of the files.

    Attributes:
        state: kept, dropped or dead.
        file: Where it stands, within the corpus folder.
        row: What it says.
    """

    state: str
    file: Path
    row: dict[str, Any]

    @property
    def id(self) -> str:
        """Of the document; empty where it never was one."""
        return str(self.row.get("id") or "")

    @property
    def split(self) -> str:
        """That a kept one is in."""
        return self.file.name.partition("-")[0]


def by_id(folder: RunFolder, asked: str) -> list[Found]:
    """The lines about the document with an id, or with the only id that begins so.

    Raises:
        UserError: Several ids begin so.
    """
    found: list[Found] = []
    ids: set[str] = set()
    for each in _kept_and_dropped(folder, lambda line: _begins(line, asked)):
        found.append(each)
        ids.add(each.id)
        if len(ids) > MOST_IDS:
            break
    if len(ids) > 1:
        first = ", ".join(sorted(ids)[:MOST_NAMED]) + (" …" if len(ids) > MOST_NAMED else "")
        many = f"more than {MOST_IDS}" if len(ids) > MOST_IDS else len(ids)
        raise UserError(f"{asked}: {many} documents begin so ({first}); give more of the id")
    return found


def at_place(folder: RunFolder, asked: str) -> Iterator[Found]:
    """Everything at `source:locator`, or within it; also dead letters that name an id.

    Both names may hold colons, so every way to cut them is tried.
    """
    readings = {
        (asked[:place], asked[place + 1 :])
        for place, character in enumerate(asked)
        if character == ":" and 0 < place < len(asked) - 1
    }
    starts = [
        b'"locator": ' + json.dumps(locator, ensure_ascii=False)[:-1].encode("utf-8", "replace")
        for _, locator in readings
    ]
    wanted = _kept_and_dropped(folder, lambda line: any(start in line for start in starts))
    yield from (each for each in wanted if _is_at(each.row, readings))
    for each in _lines(folder, "dead", folder.dead_letters, lambda _: True):
        if _is_at(each.row, readings) or _names(str(each.row["error"]), asked):
            yield each


def _begins(line: bytes, asked: str) -> bool:
    """Whether the id of a line begins so; the name of its source alone does not count."""
    name = curated.id_of(line)
    return name is not None and name.startswith(asked) and len(asked) > name.rindex(":") + 1


def _is_at(row: dict[str, Any], readings: set[tuple[str, str]]) -> bool:
    """Whether a line is about one of the places, or a place within one.

    >>> _is_at({"source": "web", "locator": "a.tar#b.txt"}, {("web", "a.tar")})
    True
    >>> _is_at({"source": "web", "locator": "a.tar2"}, {("web", "a.tar")})
    False
    """
    source, locator = str(row["source"]), str(row.get("locator") or "")
    return any(
        source == name and (locator == place or locator.startswith(f"{place}#"))
        for name, place in readings
    )


def _names(error: str, asked: str) -> bool:
    """Whether an error is about the document with this id.

    >>> _names("a rule failed on document web:00ff: TypeError", "web:00ff")
    True
    """
    return asked in (word.rstrip(":") for word in error.split())


def _kept_and_dropped(folder: RunFolder, wanted: Callable[[bytes], bool]) -> Iterator[Found]:
    yield from _lines(folder, "kept", folder.documents, wanted)
    yield from _lines(folder, "dropped", folder.rejected, wanted)


def _lines(
    folder: RunFolder, state: str, place: Path, wanted: Callable[[bytes], bool]
) -> Iterator[Found]:
    for file in curated.files(place):
        for line in curated.lines(file):
            if wanted(line):
                yield Found(state, file.relative_to(folder.corpus), curated.decoded(line, file))
