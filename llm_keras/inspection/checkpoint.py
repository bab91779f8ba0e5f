"""A checkpoint: whether it is whole, and its variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_keras.errors import UserError
from llm_keras.inspection.window import Window
from llm_keras.pages.markup import number, size

if TYPE_CHECKING:
    from llm_keras.training.checkpoint_files import Checkpoint


def is_checkpoint(path: Path) -> bool:
    """A folder of one step."""
    return path.is_dir() and path.name.startswith("step-")


def is_checkpoints(path: Path) -> bool:
    """A folder of such folders."""
    return path.is_dir() and any(path.glob("step-*"))


def show_all(path: Path, window: Window) -> Iterator[str]:
    """The checkpoints of a run, newest first, each with its state."""
    from llm_keras.training import checkpoint_files

    steps = checkpoint_files.steps(path)
    yield window.told(len(steps), "checkpoints")
    for _, step in window.of(steps):
        folder = checkpoint_files.folder_of(path, step)
        try:
            whole = checkpoint_files.verify(folder)
        except checkpoint_files.DamagedError as error:
            yield f"  {folder.name}: damaged: {error}"
        else:
            stored = sum(file["bytes"] for file in whole.manifest["files"].values())
            yield f"  {folder.name}: {size(stored)}, hashes fit"


def show(path: Path, window: Window) -> Iterator[str]:
    """Step and files, what it learnt from, then the variables with shape and spread."""
    from safetensors import safe_open

    found = _verified(path)
    yield f"checkpoint {path}: step {number(found.step)}, hashes fit"
    for key, value in found.manifest.items():
        if isinstance(value, str | int | float) and key not in ("step", "sha256"):
            yield f"  {key}: {value}"
    yield from _learnt_from(found.manifest)
    files = sorted(path.glob("*.safetensors"))
    variables = []
    for file in files:
        with safe_open(file, framework="numpy") as tensors:
            variables += [(file, name) for name in tensors.keys()]  # noqa: SIM118 - not a dict
        yield f"  {file.name}: {size(file.stat().st_size)}"
    yield window.told(len(variables), "variables")
    for _, (file, name) in window.of(variables):
        with safe_open(file, framework="numpy") as tensors:
            yield f"  {file.stem} {_variable(name, tensors.get_tensor(name))}"


def show_rows(path: Path, rows: Sequence[int]) -> Iterator[str]:
    """Whether and when the weights of a checkpoint have seen rows of the training split."""
    from llm_keras.training import consumed

    manifest = _verified(path).manifest
    if "rows" not in manifest:
        raise UserError(f"{path}: does not say which rows it learnt from; it has imported weights")
    total = sum(count for _, _, count in manifest["rows"]["buckets"])
    if beyond := [row for row in rows if not 0 <= row < total]:
        raise UserError(f"{path}: there is no row {beyond[0]}; the corpus had {total}")
    yield f"corpus {manifest['data']['corpus']}"
    for row, steps in consumed.steps_of_rows(manifest, rows).items():
        when = f"seen in steps {', '.join(map(number, steps))}" if steps else "not seen"
        yield f"  row {row}: {when}"


def _learnt_from(manifest: Mapping[str, Any]) -> Iterator[str]:
    """By which hashes the data is known, and how much of it the weights have seen."""
    if "rows" not in manifest:
        return
    yield f"  corpus: {manifest['data']['corpus']}"
    yield f"  corpus/manifest.json: {manifest['rows']['manifest_sha256']}"
    total = sum(count for _, _, count in manifest["rows"]["buckets"])
    yield f"  rows: {number(total)} (--row N says when it saw one)"
    stretches = manifest.get("divergence", {}).get("skipped", ())
    if stretches:
        told = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in stretches)
        yield f"  steps that are not in it: {told}"


def _verified(path: Path) -> Checkpoint:
    from llm_keras.training import checkpoint_files

    try:
        return checkpoint_files.verify(path)
    except checkpoint_files.DamagedError as error:
        raise UserError(f"{path}: {error}; inspect or use another checkpoint") from None


def _variable(name: str, array: np.ndarray) -> str:
    shape = " x ".join(map(str, array.shape)) or "scalar"
    if not array.size:
        return f"{name}: {shape}, {array.dtype}"
    values = array.astype(np.float64)
    spread = f"mean {values.mean():.3g}, standard deviation {values.std():.3g}"
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    return f"{name}: {shape}, {array.dtype}, {f'{wrong} NOT FINITE' if wrong else spread}"
