"""Checkpoints on disk: complete or absent, verified before use. Knows no Keras.

    checkpoints/step-00000200/network.safetensors     weights
                              optimizer.safetensors   slots and counters
                              average.safetensors     running means of weights, where there are any
                              lora.safetensors        small matrices, where the weights are frozen
                              manifest.json           written last: hashes, step, facts

A checkpoint is written into a hidden folder beside its final place, flushed to the disk, and
renamed. A rename is all or nothing, so a folder called `step-*` was complete once; the hashes tell
whether it still is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from llm_keras.errors import UserError

FORMAT = 1
MANIFEST = "manifest.json"
#: Folders being written or removed; left behind by a process that was killed.
HIDDEN = (".writing-", ".removing-")
#: Prefix that a damaged checkpoint gets when training goes on from an older one.
DAMAGED = "damaged-"

Tensors = Mapping[str, np.ndarray]
_STEP = re.compile(r"step-(\d{8,})")


class DamagedError(Exception):
    """A checkpoint is not what its manifest says; the message names the file and the difference."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are what its manifest says.

    Attributes:
        path: Its folder.
        manifest: `step`, `files` and the facts it was saved with.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimizer updates applied."""
        return int(self.manifest["step"])

    def has(self, name: str) -> bool:
        """Whether there is such a part."""
        return f"{name}.safetensors" in self.manifest["files"]

    def tensors(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one part, such as `network`."""
        return load_file(self.path / f"{name}.safetensors")


def folder_of(root: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return root / f"step-{step:08}"


def save(root: Path, step: int, parts: Mapping[str, Tensors], facts: Mapping[str, Any]) -> Path:
    """Writes the checkpoint of `step`.

    Args:
        root: Folder of the checkpoints.
        step: Optimizer updates applied.
        parts: Arrays by name, for each part.
        facts: What else belongs into the manifest, as JSON.

    Raises:
        UserError: The disk is full or refuses; older checkpoints are as they were.
    """
    path = folder_of(root, step)
    writing = root / f".writing-{path.name}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        remove(writing)
        writing.mkdir()
        files = {name: _save_part(writing / name, part) for name, part in _files(parts)}
        manifest = {"format": FORMAT, "step": step, "files": files, **facts}
        _save_manifest(writing / MANIFEST, manifest)
        _flush(writing)
        remove(path)  # A damaged one of the same step; a complete one is not written twice.
        writing.rename(path)
        _flush(root)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(writing, ignore_errors=True)
        raise UserError(
            f"{path}: could not be written ({_reason(error)}); earlier checkpoints are as they"
            " were. Make room and train again: it goes on from the newest"
        ) from error
    return path


def verify(path: Path) -> Checkpoint:
    """Reads the manifest of a checkpoint and compares every file with it.

    Raises:
        DamagedError: Something is missing, cut or altered.
    """
    manifest = read_manifest(path)
    if f"step-{manifest['step']:08}" != path.name:
        raise DamagedError(f"{MANIFEST} is of step {manifest['step']}")
    for name, expected in manifest["files"].items():
        try:
            found = _describe(path / name)
        except OSError as error:
            raise DamagedError(f"{name}: {error.strerror}") from None
        if found["bytes"] != expected["bytes"]:
            raise DamagedError(f"{name} has {found['bytes']} bytes, not {expected['bytes']}")
        if found["sha256"] != expected["sha256"]:
            raise DamagedError(f"{name} does not have the SHA-256 of its manifest")
    return Checkpoint(path, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself; its files are not looked at.

    Raises:
        DamagedError: It is missing, cut or altered.
        UserError: It is of a later format.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        digest = manifest.pop("sha256")
    except OSError as error:
        raise DamagedError(f"{path.name}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, KeyError):
        raise DamagedError(f"{path.name} is not a manifest") from None
    if digest != _digest(manifest):
        raise DamagedError(f"{path.name} was altered")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{path}: checkpoint format {manifest['format']}, but this llm-keras reads {FORMAT};"
            " use the version that wrote it"
        )
    return dict(manifest)


def newest(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest complete checkpoint, and what is wrong with each newer one.

    Raises:
        UserError: There are checkpoints, but none can be used.
    """
    problems: list[str] = []
    for step in steps(root):
        path = folder_of(root, step)
        try:
            return verify(path), problems
        except DamagedError as error:
            problems.append(f"{path}: {error}")
    problems += [str(path) for path in sorted(root.glob(f"{DAMAGED}step-*"))]
    if problems:
        raise UserError(
            f"no checkpoint can be used ({'; '.join(problems)}): bring back an intact copy, or"
            f" delete {root} to train from the start"
        )
    return None, []


def set_aside(root: Path, used: Checkpoint) -> None:
    """Renames checkpoints newer than the one used: they are damaged, their steps come again."""
    for step in steps(root):
        if step > used.step:
            path = folder_of(root, step)
            aside = root / f"{DAMAGED}{path.name}"
            remove(aside)
            path.rename(aside)


def clean(root: Path) -> None:
    """Removes what a killed process left half done. Only for the one process that trains here."""
    for prefix in HIDDEN:
        for path in root.glob(f"{prefix}*"):
            shutil.rmtree(path)


def remove(path: Path) -> None:
    """Removes a folder so that no half of it ever stands under its name."""
    if path.exists():
        hidden = path.with_name(f".removing-{path.name.lstrip('.')}")
        shutil.rmtree(hidden, ignore_errors=True)
        path.rename(hidden)
        shutil.rmtree(hidden)


def steps(root: Path) -> list[int]:
    """Steps that have a checkpoint, complete or not, newest first."""
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    return sorted((int(m[1]) for name in names if (m := _STEP.fullmatch(name))), reverse=True)


def _files(parts: Mapping[str, Tensors]) -> Sequence[tuple[str, Tensors]]:
    return [(f"{name}.safetensors", part) for name, part in parts.items()]


def _save_part(path: Path, tensors: Tensors) -> dict[str, Any]:
    save_file(dict(tensors), path)
    path.chmod(0o644)  # The library lets nobody but the owner read.
    _flush(path)
    return _describe(path)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _save_manifest(path: Path, manifest: dict[str, Any]) -> None:
    signed = {**manifest, "sha256": _digest(manifest)}
    path.write_text(json.dumps(signed, indent=1) + "\n", encoding="utf-8")
    _flush(path)


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the manifest's values, whatever their order and spacing."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    """Waits until a file's or a folder's content has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
