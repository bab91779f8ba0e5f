"""What must be the same for a training to go on where it stopped."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import llm_keras
from llm_keras import config, console
from llm_keras.data.manifest import Manifest, settings_hash
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder

#: Settings that may change between two starts: they decide how fast, how often or on how many
#: devices, and change a loss by no more than rounding.
MAY_CHANGE = frozenset(
    {
        "model.attention_block_length",
        "training.gradient_accumulation_steps",
        *(f"training.parallelism.{name}" for name in config.Parallelism.model_fields),
        "training.rematerialization",
        "training.rematerialization_blocks",
        "training.validate_every_steps",
        "training.validation_rows",
        "training.checkpoint_every_steps",
        "training.keep_checkpoints",
        "training.keep_every_steps",
        "training.keep_best",
        "training.use_best",
        "training.tensorboard",
        "training.profile_steps",
        # What was is as it was; a run that stopped may go on with another policy.
        *(f"training.divergence.{name}" for name in config.Divergence.model_fields),
    }
)

#: Settings of the model that training from imported weights may choose: they say what comes, not
#: what the weights were trained to do.
FREE_FOR_IMPORTED = frozenset(
    {
        "model.attention_block_length",
        "model.dropout",
        "model.initialization",
        "model.initializer_range",
    }
)

Facts = dict[str, Any]


def facts(run: config.Run, manifest: Manifest, threads: Mapping[str, int]) -> Facts:
    """What a checkpoint says about the training it comes from.

    Returns:
        `settings`: fields of the run by dotted name; `data`: hashes of the corpus and the
        tokenizer; `settings_hash`; and, to explain a trace that differs in its last bits,
        `versions` and `threads`.
    """
    sections = run.model_dump(mode="json", include={"seed", "model", "training"})
    settings = {
        **_flat(sections),
        "records.sequence_length": run.records.sequence_length,
        "tokenizer.vocabulary_size": run.tokenizer.vocabulary_size,
    }
    if run.model.kind == "encoder_decoder":  # The batches of short pairs depend on it.
        name = "training.parallelism.data x training.gradient_accumulation_steps"
        settings[name] = batch_multiple(run.training)
    if run.training.divergence.rolls_back:  # What it comes back to depends on it.
        name = "training.checkpoint_every_steps of training.divergence"
        settings[name] = run.training.checkpoint_every_steps
    return {
        "settings": settings,
        "settings_hash": settings_hash(settings),
        "data": {"corpus": manifest.fingerprint, "tokenizer": manifest.tokenizer_sha256},
        "versions": {
            "llm_keras": llm_keras.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        },
        "threads": dict(threads),
    }


def batch_multiple(settings: config.Training) -> int:
    """What the number of rows of every batch is a multiple of."""
    return settings.parallelism.data * settings.gradient_accumulation_steps


def check(saved: Facts, now: Facts, path: Path) -> None:
    """Compares a checkpoint's facts with those of the training that wants to go on from it.

    Raises:
        UserError: A setting, the corpus or the tokenizer changed: names it, old and new.
    """
    changed = _changed(saved["settings"], now["settings"], MAY_CHANGE)
    changed += [
        f"the {name} was {saved['data'][name][:12]} and is {now['data'][name][:12]} (SHA-256)"
        for name in ("tokenizer", "corpus")
        if saved["data"][name] != now["data"][name]
    ]
    if changed:
        raise UserError(
            f"{path} cannot be continued: {'; '.join(changed)}. Change it back, or train anew in"
            " another folder (--output)"
        )
    for name in ("versions", "threads"):
        if differences := _differences(saved[name], now[name]):
            console.warn(
                f"{path} was saved with {differences}; the losses may differ in their last digits"
                " from those of an uninterrupted run"
            )


def initial_facts(model: config.Model, folder: RunFolder) -> Facts:
    """What a checkpoint of imported weights says of what they were trained for.

    Args:
        model: The shape.
        folder: The run's, with the tokenizer.
    """
    return {
        "settings": _flat({"model": model.model_dump(mode="json")}),
        "data": {"tokenizer": file_sha256(folder.tokenizer_model)},
    }


def check_initial(saved: Facts, now: Facts, path: Path) -> None:
    """Compares the facts of imported weights with those of the training that starts from them.

    Raises:
        UserError: The model's shape or the tokenizer is another one.
    """
    model = {name: value for name, value in now["settings"].items() if name.startswith("model.")}
    changed = _changed(saved["settings"], model, FREE_FOR_IMPORTED)
    if saved["data"]["tokenizer"] != now["data"]["tokenizer"]:
        changed.append("the tokenizer is another one")
    if changed:
        raise UserError(
            f"{path}: these weights were imported for another model: {'; '.join(changed)}. Change"
            " it back, or import anew into another folder (--output)"
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        UserError: It is missing.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run `llm-keras tokenizer` first") from None


def _changed(
    saved: Mapping[str, Any], now: Mapping[str, Any], may_change: frozenset[str]
) -> list[str]:
    """What is not as it was: field, old and new value."""
    # A field that the checkpoint does not have came with a later version of llm-keras, and its
    # default keeps what was.
    changed = [
        f"{field} was {saved[field]!r} and is {value!r}"
        for field, value in now.items()
        if field not in may_change and saved.get(field, value) != value
    ]
    # Except where it belongs to a section that was null, or is now.
    changed += [f"{name} was null and is set" for name in _nulls(saved) if _is_set(now, name)]
    changed += [f"{name} was set and is null" for name in _nulls(now) if _is_set(saved, name)]
    return changed


def _nulls(settings: Mapping[str, Any]) -> list[str]:
    return [name for name, value in settings.items() if value is None]


def _is_set(settings: Mapping[str, Any], section: str) -> bool:
    return any(name.startswith(f"{section}.") for name in settings)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one dictionary with dotted names."""
    fields: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            fields.update(_flat(value, f"{prefix}{name}."))
        else:
            fields[f"{prefix}{name}"] = value
    return fields


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What both know and do not agree on."""
    names = [name for name in new if old.get(name, new[name]) != new[name]]
    return ", ".join(f"{name} {old[name]} (now {new[name]})" for name in names)
