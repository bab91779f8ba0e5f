"""The version folders of a model on disk, and which of them are complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DIGITS = re.compile(r"[0-9]+")
_SHARD = re.compile(r"variables\.data-(\d{5})-of-(\d{5})")
_LARGEST_VERSION = 2**63 - 1

#: Name, size and modification time of every file: equal twice means nobody is writing.
Fingerprint = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class Version:
    """A complete version folder."""

    number: int
    folder: Path
    fingerprint: Fingerprint


def scan(base_path: Path) -> list[Version]:
    """The complete versions below `base_path`, newest first."""
    return [
        Version(number, folder, fingerprint(folder))
        for number, folder in numbered(base_path)
        if incompleteness(folder) is None
    ]


def nothing_to_serve(base_path: Path, failures: Mapping[int, str]) -> str:
    """Why no version can be served, and what is expected, in one line.

    Args:
        base_path: Where versions were looked for.
        failures: For complete versions, why they did not load.
    """
    expected = f"expected {base_path}/<number>/saved_model.pb, as `llm-keras export` writes it"
    if not base_path.is_dir():
        return f"{base_path}: no such folder; {expected}"
    if (base_path / "saved_model.pb").exists():
        return f"{base_path} is itself a version: give the folder above it; {expected}"
    problems = [
        f"version {number}: {failures.get(number) or incompleteness(folder)}"
        for number, folder in numbered(base_path)
    ]
    found = "; ".join(problems) or "it has no numbered folder"
    return f"{base_path} has no version to serve: {found}; {expected}"


def numbered(base_path: Path) -> list[tuple[int, Path]]:
    """The folders named by a number, largest first; leading zeros are fine, other names are not."""
    if not base_path.is_dir():
        return []
    found: dict[int, Path] = {}
    for folder in sorted(base_path.iterdir()):
        if _DIGITS.fullmatch(folder.name) and folder.is_dir():
            number = int(folder.name)
            if number <= _LARGEST_VERSION:
                found.setdefault(number, folder)
    return sorted(found.items(), reverse=True)


def incompleteness(folder: Path) -> str | None:
    """What a version folder lacks, as one phrase; None if it looks complete.

    TensorFlow Serving loads a folder as soon as it exists; a copy in progress then fails, or worse,
    serves without its variables.
    """
    graphs = [folder / "saved_model.pb", folder / "saved_model.pbtxt"]
    if not any(graph.is_file() and graph.stat().st_size for graph in graphs):
        return "saved_model.pb is missing"
    variables = folder / "variables"
    if not variables.is_dir():
        return None  # a model may have none; loading finds out
    if not (variables / "variables.index").is_file():
        return "variables/variables.index is missing"
    matches = [match for path in variables.iterdir() if (match := _SHARD.fullmatch(path.name))]
    for total in {int(match[2]) for match in matches}:
        if {int(match[1]) for match in matches if int(match[2]) == total} == set(range(total)):
            return None
    return "a shard variables/variables.data-* is missing"


def fingerprint(folder: Path) -> Fingerprint:
    """What changes while files are being copied."""
    files = []
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # removed between listing and looking
            continue
        files.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return frozenset(files)
