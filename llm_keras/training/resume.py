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

#: Settings that may change between two starts: they decide how fast, how often or on how many
#: devices, and change a loss by no more than rounding.
MAY_CHANGE = frozenset(
    {
        "model.attention_block_length",
        "training.gradient_accumulation_steps",
        "training.parallelism.strategy",
        "training.parallelism.data",
        "training.rematerialization",
        "training.validate_every_steps",
        "training.validation_rows",
        "training.checkpoint_every_steps",
        "training.keep_checkpoints",
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


def check(saved: Facts, now: Facts, path: Path) -> None:
    """Compares a checkpoint's facts with those of the training that wants to go on from it.

    Raises:
        UserError: A setting, the corpus or the tokenizer changed: names it, old and new.
    """
    # A field that the checkpoint does not have came with a later version of llm-keras, and its
    # default keeps what was.
    changed = [
        f"{field} was {saved['settings'][field]!r} and is {value!r}"
        for field, value in now["settings"].items()
        if field not in MAY_CHANGE and saved["settings"].get(field, value) != value
    ]
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
