"""What a folder remembers of earlier runs: keys of the documents that they kept, never any text.

A run adds one snapshot, `<name>/`, when it is complete: `snapshot.json` (sources, settings of the
bands) and the keys of each step as files of rows. Keys of the same step and the same settings can
be compared across snapshots; those of other settings are passed over with an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from llm_keras import config
from llm_keras.errors import UserError
from pipelines import keys, storage

FORMAT = 1


class Snapshot(NamedTuple):
    """One earlier run.

    Args:
        name: Hash of what it was made of.
        sources: Names of its sources, by number.
        near: Settings of its bands; None: it has none.
        files: For each step the files of its keys.
    """

    name: str
    sources: list[str]
    near: dict[str, Any] | None
    files: dict[str, list[str]]


def snapshots(folder: str) -> list[Snapshot]:
    """All that the folder remembers, in order of their names.

    Raises:
        UserError: A snapshot is damaged, or of another format.
    """
    found = []
    for each in storage.listing(storage.join(folder, "*", "snapshot.json")):
        try:
            found.append(_parsed(json.loads(storage.read(each.path))))
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{each.path}: expected a snapshot of format {FORMAT}, found another; remove its"
                " folder, or name another corpus.deduplicate.index"
            ) from None
    return sorted(found)


def _parsed(fields: dict[str, Any]) -> Snapshot:
    if fields.pop("format") != FORMAT:
        raise ValueError("another format")
    return Snapshot(**fields)


def names(folder: str | None, but: str) -> list[str]:
    """The snapshots that a run compares with: all but its own."""
    if folder is None:
        return []
    return [each.name for each in snapshots(folder) if each.name != but]


def sources_in(folder: str | None) -> tuple[str, ...]:
    """Names of all sources that the folder knows of."""
    found = snapshots(folder) if folder is not None else []
    return tuple(sorted({name for each in found for name in each.sources}))


def check(folder: str, near: config.Near | None) -> None:
    """Refuses an index whose bands cannot be compared with this run's.

    Raises:
        UserError: With both settings.
    """
    if near is None:
        return
    mine = near.model_dump(mode="json")
    for snapshot in snapshots(folder):
        if snapshot.near is not None and snapshot.near != mine:
            raise UserError(
                f"{folder}: was made with corpus.deduplicate.near {snapshot.near}, this run has"
                f" {mine}; take the same settings, or another index"
            )


def tables(folder: str, step: str, numbers: Mapping[str, int], but: str) -> Iterator[keys.Rows]:
    """The keys of a step that other runs left, with this run's numbers of sources."""
    for snapshot, data in _files(folder, step, but):
        renumbered = np.array([numbers[name] for name in snapshot.sources], np.uint16)
        table = np.frombuffer(data, keys.DTYPE).copy()
        table["source"] = renumbered[table["source"]]
        table["rank"], table["part"], table["row"] = 0, keys.ELSEWHERE, 0
        yield table


def contents(folder: str, step: str, but: str) -> Iterator[bytes]:
    """The files of a step that other runs left."""
    for _, data in _files(folder, step, but):
        yield data


def _files(folder: str, step: str, but: str) -> Iterator[tuple[Snapshot, bytes]]:
    for snapshot in snapshots(folder):
        if snapshot.name != but:
            for name in snapshot.files.get(step, ()):
                yield snapshot, storage.read(storage.join(folder, snapshot.name, name))


def write_keys(
    folder: str, stem: str, tables: Mapping[str, keys.Rows]
) -> dict[str, dict[str, int]]:
    """Writes the keys of some documents, by step; for each step the file, and the rows in it."""
    names = {}
    for step, table in tables.items():
        name = f"{step}-{stem}.keys"
        storage.write(storage.join(folder, name), table.tobytes())
        names[step] = {name: len(table)}
    return names


def publish(
    folder: str,
    name: str,
    sources: Sequence[str],
    near: config.Near | None,
    files: Mapping[str, Sequence[str]],
) -> None:
    """Makes a snapshot count: its description comes last."""
    content = {
        "format": FORMAT,
        "name": name,
        "sources": list(sources),
        "near": None if near is None else near.model_dump(mode="json"),
        "files": {step: sorted(names) for step, names in files.items()},
    }
    path = storage.join(folder, name, "snapshot.json")
    storage.write(path, json.dumps(content, indent=1).encode())
