"""The state of a training in a checkpoint, and back.

The state is the network's weights and the optimizer's slots and count of updates. Everything else
is a function of that count: the learning rate, the rows of the next batch, and the dropout masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from llm_keras import console
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files
from llm_keras.training.checkpoint_files import Checkpoint, DamagedError
from llm_keras.training.trainer import Trainer

NETWORK, OPTIMIZER = "network", "optimizer"


def save(root: Path, trainer: Trainer, facts: Mapping[str, Any], keep: int) -> Path:
    """Writes the trainer's state, complete or not at all.

    Args:
        root: Folder of the checkpoints.
        trainer: What is trained, compiled.
        facts: See `resume.facts`.
        keep: How many checkpoints to leave, this one included.

    Raises:
        UserError: The disk is full or refuses; older checkpoints are as they were.
    """
    parts = {
        NETWORK: {name: _value(v) for name, v in _named(trainer.network.variables)},
        OPTIMIZER: {name: _value(v) for name, v in _named(trainer.optimizer.variables)},
    }
    return checkpoint_files.save(root, trainer.step, parts, facts, keep)


def latest(root: Path) -> Checkpoint | None:
    """The newest complete checkpoint; None if there never was one.

    Damaged newer ones are named in a warning.

    Raises:
        UserError: There are checkpoints, but none can be used.
    """
    found, problems = checkpoint_files.newest(root)
    if found is not None and problems:
        console.warn(f"{'; '.join(problems)}: using {found.path} instead")
    return found


def restore(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Puts a checkpoint's state into a trainer that is compiled and has its slots.

    Raises:
        UserError: The state does not fit the network or the optimizer.
    """
    _assign(checkpoint, NETWORK, trainer.network.variables)
    _assign(checkpoint, OPTIMIZER, trainer.optimizer.variables)


def load_network(folder: RunFolder, network: keras.Model, step: int | None = None) -> int:
    """Loads trained weights into a network.

    Args:
        folder: The run's folder.
        network: Built, of the shape that was trained.
        step: Which checkpoint; None takes the newest complete one.

    Returns:
        The checkpoint's step.

    Raises:
        UserError: There is no such checkpoint, it is damaged, or it does not fit.
    """
    if step is None:
        checkpoint = latest(folder.checkpoints)
        if checkpoint is None:
            raise UserError(f"{folder.checkpoints}: no checkpoint; run `llm-keras train` first")
    else:
        path = checkpoint_files.folder_of(folder.checkpoints, step)
        try:
            checkpoint = checkpoint_files.verify(path)
        except DamagedError as error:
            raise UserError(f"{path}: {error}; choose another checkpoint") from None
    _assign(checkpoint, NETWORK, network.variables)
    return checkpoint.step


def _named(variables: Sequence[keras.Variable]) -> list[tuple[str, keras.Variable]]:
    """Variables by index and path: the path is for people and as a check, the index is unique."""
    return [(f"{index:04}:{variable.path}", variable) for index, variable in enumerate(variables)]


def _value(variable: keras.Variable) -> np.ndarray:
    return np.asarray(variable.value.numpy())


def _assign(checkpoint: Checkpoint, part: str, variables: Sequence[keras.Variable]) -> None:
    tensors = checkpoint.tensors(part)
    named = _named(variables)
    saved = [f"{name} {tuple(array.shape)}" for name, array in sorted(tensors.items())]
    wanted = [f"{name} {tuple(variable.shape)}" for name, variable in named]
    for old, new in zip(saved, wanted, strict=False):
        if old != new:
            raise UserError(f"{checkpoint.path}: {part} has {old} where the run file's has {new}")
    if len(saved) != len(wanted):
        raise UserError(
            f"{checkpoint.path}: {part} has {len(saved)} variables, the run file's {len(wanted)}"
        )
    for name, variable in named:
        variable.assign(tensors[name])
