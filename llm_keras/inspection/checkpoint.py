"""A checkpoint: whether it is whole, and its variables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from llm_keras.errors import UserError
from llm_keras.evaluation.report.markup import number, size
from llm_keras.inspection.window import Window


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
    """Step and files, then the variables with shape and spread."""
    from safetensors import safe_open

    from llm_keras.training import checkpoint_files

    try:
        found = checkpoint_files.verify(path)
    except checkpoint_files.DamagedError as error:
        raise UserError(f"{path}: {error}; inspect or use another checkpoint") from None
    yield f"checkpoint {path}: step {number(found.step)}, hashes fit"
    for key, value in found.manifest.items():
        if isinstance(value, str | int | float) and key not in ("step", "sha256"):
            yield f"  {key}: {value}"
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


def _variable(name: str, array: np.ndarray) -> str:
    shape = " x ".join(map(str, array.shape)) or "scalar"
    if not array.size:
        return f"{name}: {shape}, {array.dtype}"
    values = array.astype(np.float64)
    spread = f"mean {values.mean():.3g}, standard deviation {values.std():.3g}"
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    return f"{name}: {shape}, {array.dtype}, {f'{wrong} NOT FINITE' if wrong else spread}"
