"""The state of a training in a checkpoint, and back.

The state is the network's weights and their running means, and the optimizer's slots and count of
updates. Everything else is a function of that count: the learning rate, the rows of the next batch,
and what is dropped and masked. With LoRA the frozen weights are saved too, so that a checkpoint
needs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from llm_keras import console, models
from llm_keras.errors import UserError
from llm_keras.parallel.engine import Engine
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, keeping, lora, resume
from llm_keras.training.checkpoint_files import Checkpoint, DamagedError
from llm_keras.training.keeping import Keep
from llm_keras.training.trainer import Trainer

NETWORK, OPTIMIZER, AVERAGE, LORA = "network", "optimizer", "average", "lora"
LOSS_SCALE = "loss_scale"
KEEP_NEWEST = Keep()

#: Variables and their names in a checkpoint.
Named = list[tuple[str, keras.Variable]]


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one step, in memory of its own: training may go on.

    Attributes:
        step: Updates behind it.
        parts: Arrays by name, for each part.
    """

    step: int
    parts: dict[str, dict[str, np.ndarray]]


def snapshot(trainer: Trainer) -> Snapshot:
    """Copies the trainer's state. In a run of several processes all of them call it."""
    return Snapshot(
        trainer.step,
        {part: _values(trainer.engine, named) for part, named in _state(trainer).items()},
    )


def write(root: Path, state: Snapshot, facts: Mapping[str, Any], keep: Keep) -> Path:
    """Writes a state, complete or not at all, and removes what is not to be kept any more.

    Args:
        root: Folder of the checkpoints.
        state: See `snapshot`.
        facts: What else belongs into the manifest, as JSON; see `resume.facts`.
        keep: Which checkpoints stay.

    Raises:
        UserError: The disk is full or refuses; older checkpoints are as they were.
    """
    path = checkpoint_files.save(root, state.step, state.parts, facts)
    keeping.prune(root, keep)
    return path


def save(root: Path, trainer: Trainer, facts: Mapping[str, Any], keep: Keep = KEEP_NEWEST) -> Path:
    """Writes the trainer's state now; see `write`."""
    return write(root, snapshot(trainer), facts, keep)


def save_initial(folder: RunFolder, network: models.Transformer, facts: Mapping[str, Any]) -> Path:
    """Writes weights from elsewhere as the checkpoint of step 0, from which training starts.

    Args:
        folder: The run's folder, its tokenizer already in it.
        network: The model of the run, with the weights.
        facts: What else belongs into the manifest, as JSON: where the weights come from.

    Raises:
        UserError: There are checkpoints already, or the disk is full or refuses.
    """
    if checkpoint_files.steps(folder.checkpoints):
        raise UserError(
            f"{folder.checkpoints}: has checkpoints already; choose another --output, or delete it"
        )
    facts = {**facts, **resume.initial_facts(network.settings, folder)}
    parts = {NETWORK: _values(Engine(), _named(network.variables))}
    return checkpoint_files.save(folder.checkpoints, 0, parts, facts)


def latest(root: Path, *, strict: bool = False) -> Checkpoint | None:
    """The newest complete checkpoint; None if there never was one.

    Args:
        root: Folder of the checkpoints.
        strict: Whether damaged newer ones are an error; else they are named in a warning.

    Raises:
        UserError: There are checkpoints, but none can be used, or a newer one is damaged.
    """
    found, problems = checkpoint_files.newest(root)
    if found is not None and problems:
        if strict:
            raise UserError(
                f"{'; '.join(problems)}: --strict goes on from the newest checkpoint alone; bring"
                f" back an intact copy, or leave --strict out to go on from {found.path}"
            )
        console.warn(f"{'; '.join(problems)}: using {found.path} instead")
    return found


def best(root: Path) -> Checkpoint:
    """The complete checkpoint with the lowest validation loss.

    Raises:
        UserError: None of them knows its validation loss.
    """
    for step in keeping.ranked(keeping.losses_of(root)):
        path = checkpoint_files.folder_of(root, step)
        try:
            return checkpoint_files.verify(path)
        except DamagedError as error:
            console.warn(f"{path}: {error}; using the next best instead")
    raise UserError(
        f"{root}: no checkpoint has a validation loss; train with training.keep_best, or set"
        " training.use_best to false"
    )


def restore(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Puts a checkpoint's state into a trainer that is compiled and has its slots.

    Of a checkpoint with weights alone only these: optimizer, averages and LoRA begin anew.

    Raises:
        UserError: The state does not fit the network or the optimizer.
    """
    for part, named in _state(trainer).items():
        if part == NETWORK or not is_initial(checkpoint):
            _assign(checkpoint, part, checkpoint.tensors(part), named, trainer.engine)
    if is_initial(checkpoint) and trainer.average is not None:
        trainer.average.reset()


def is_initial(checkpoint: Checkpoint) -> bool:
    """Whether it has weights alone, and no training behind it; see `save_initial`."""
    return not checkpoint.has(OPTIMIZER)


def load_network(
    folder: RunFolder,
    network: keras.Model,
    step: int | None = None,
    *,
    use_best: bool = False,
) -> int:
    """Loads trained weights into a network: averaged where the run averages, LoRA merged in.

    Args:
        folder: The run's folder.
        network: Built, of the shape that was trained.
        step: Which checkpoint; None takes the newest complete one.
        use_best: Of None, whether to take the one with the lowest validation loss instead.

    Returns:
        The checkpoint's step.

    Raises:
        UserError: There is no such checkpoint, it is damaged, or it does not fit.
    """
    checkpoint: Checkpoint | None
    if step is None and use_best:
        checkpoint = best(folder.checkpoints)
    elif step is None:
        checkpoint = latest(folder.checkpoints)
        if checkpoint is None:
            raise UserError(f"{folder.checkpoints}: no checkpoint; run `llm-keras train` first")
    else:
        path = checkpoint_files.folder_of(folder.checkpoints, step)
        try:
            checkpoint = checkpoint_files.verify(path)
        except DamagedError as error:
            raise UserError(f"{path}: {error}; choose another checkpoint") from None
    _assign(checkpoint, NETWORK, _judged(checkpoint), _named(network.variables), Engine())
    return checkpoint.step


def corpus_of(folder: RunFolder, step: int) -> str | None:
    """The fingerprint of the corpus that a checkpoint was trained on; None of imported weights.

    Args:
        folder: The run's folder.
        step: Of the checkpoint, which is whole.
    """
    path = checkpoint_files.folder_of(folder.checkpoints, step)
    corpus = checkpoint_files.read_manifest(path).get("data", {}).get("corpus")
    return None if corpus is None else str(corpus)


def _state(trainer: Trainer) -> dict[str, Named]:
    """All that a step may change, and what it needs."""
    own, added = lora.split(trainer.network.variables)
    state = {NETWORK: _named(own), OPTIMIZER: _named(trainer.optimizer.variables)}
    if trainer.loss_scale is not None:
        state[LOSS_SCALE] = _named(trainer.loss_scale.variables)
    if added:
        state[LORA] = _named(added)
    if trainer.average is not None:
        names = {id(v): name for part in (NETWORK, LORA) for name, v in state.get(part, ())}
        means = zip(trainer.average.variables, trainer.average.averages, strict=True)
        state[AVERAGE] = [(names[id(variable)], mean) for variable, mean in means]
    return state


def _judged(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The weights of a checkpoint that evaluation and export use."""
    means = checkpoint.tensors(AVERAGE) if checkpoint.has(AVERAGE) else {}
    network = checkpoint.tensors(NETWORK)
    weights = {name: means.get(name, array) for name, array in network.items()}
    if not checkpoint.has(LORA):
        return weights
    added = {name: means.get(name, array) for name, array in checkpoint.tensors(LORA).items()}
    return lora.merge(weights, added, checkpoint.manifest["settings"]["training.lora.alpha"])


def _named(variables: Sequence[keras.Variable]) -> Named:
    """Variables by index and path: the path is for people and as a check, the index is unique."""
    return [(f"{index:04}:{variable.path}", variable) for index, variable in enumerate(variables)]


def _values(engine: Engine, named: Named) -> dict[str, np.ndarray]:
    return {name: engine.value(variable) for name, variable in named}


def _assign(
    checkpoint: Checkpoint,
    part: str,
    tensors: Mapping[str, np.ndarray],
    named: Named,
    engine: Engine,
) -> None:
    saved = [f"{name} {tuple(array.shape)}" for name, array in sorted(tensors.items())]
    wanted = [f"{name} {tuple(variable.shape)}" for name, variable in sorted(named, key=_name)]
    for old, new in zip(saved, wanted, strict=False):
        if old != new:
            raise UserError(f"{checkpoint.path}: {part} has {old} where the run file's has {new}")
    if len(saved) != len(wanted):
        raise UserError(
            f"{checkpoint.path}: {part} has {len(saved)} variables, the run file's {len(wanted)}"
        )
    for name, variable in named:
        engine.assign(variable, tensors[name])


def _name(named: tuple[str, keras.Variable]) -> str:
    return named[0]
