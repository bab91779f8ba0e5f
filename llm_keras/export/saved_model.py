"""Writes a model as a SavedModel version: complete, or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from llm_keras import config, tokenizers
from llm_keras.errors import UserError
from llm_keras.export import linter, warmup
from llm_keras.export.continuation import Continuation
from llm_keras.export.encoding import Encoding
from llm_keras.export.servable import Servable
from llm_keras.export.translation import Translation
from llm_keras.generation import text_model
from llm_keras.tokenizers import Tokenizer

#: A folder with a name that is no number: servers look at numbers only.
PARTIAL = "incomplete-export"
METADATA = "llm_keras.json"
KINDS: dict[str, type[Servable]] = {
    "causal_lm": Continuation,
    "encoder_decoder": Translation,
    "masked_lm": Encoding,
}


def export_saved_model(
    network: Any,
    tokenizer_model: Path,
    destination: Path,
    generation: config.Generation,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the next version of a model that takes text and gives text, or vectors of it.

    The folder `destination/<version>` appears by one rename when everything in it is on disk, so
    that a server watching `destination` never sees half a model. Weights and computation are
    float32, whatever the model was trained in.

    Args:
        network: The trained model, of any kind.
        tokenizer_model: The tokenizer's file that it was trained with.
        destination: Holds one folder for each version.
        generation: The settings of the signature `serving_default`.
        metadata: More facts for `assets.extra/llm_keras.json`, such as step and corpus hash.

    Returns:
        The folder of the new version.

    Raises:
        UserError: The tokenizer is not the model's, or a weight is not a finite number.
        UnservableModelError: The linter found something that a server cannot run.
    """
    tokenizer = tokenizers.load(tokenizer_model)
    _check(network, tokenizer)
    network = in_float32(network)
    partial = destination / PARTIAL
    if partial.exists():  # of an export that was killed
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    try:
        _write(partial, network, tokenizer, tokenizer_model, generation)
        about = _describe(network, tokenizer, generation, metadata or {})
        _write_extra(partial, about, network)
        linter.check(partial)
        _to_disk(partial)
        final = destination / str(_next_version(destination))
        partial.rename(final)
        _sync(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return final


def in_float32(network: Any) -> Any:
    """The network itself, or its twin that computes in float32 on the same weights."""
    if network.compute_dtype == "float32":
        return network
    twin = type(network).from_config({**network.get_config(), "dtype": "float32"})
    twin.build()
    for mine, given in zip(twin.weights, network.weights, strict=True):
        mine.assign(given)
    return twin


def _check(network: Any, tokenizer: Tokenizer) -> None:
    # Fewer are fine: imported models have matrices with rows for no piece at all.
    if tokenizer.vocabulary_size > network.vocabulary_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocabulary_size} pieces, but the model was made for"
            f" {network.vocabulary_size}; export with the tokenizer it was trained with"
        )
    for weight in network.weights:
        if not np.isfinite(weight.numpy()).all():
            raise UserError(
                f"weight {weight.path} holds NaN or infinity; export an earlier checkpoint,"
                " or train again with a lower learning rate"
            )


def _write(
    folder: Path,
    network: Any,
    tokenizer: Tokenizer,
    tokenizer_model: Path,
    generation: config.Generation,
) -> None:
    model = text_model(network, tokenizer)
    servable = KINDS[network.settings.kind](model, tokenizer_model, generation)
    # Nobody trains an export, and its gradients take long to trace.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(servable, str(folder), servable.signatures(), options)


def _describe(
    network: Any,
    tokenizer: Tokenizer,
    generation: config.Generation,
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    """What a person wants to know of an exported model years later."""
    return {
        "format": 1,
        "parameters": sum(int(np.prod(weight.shape)) for weight in network.weights),
        "context_length": network.sequence_length,
        "vocabulary_size": network.vocabulary_size,
        "tokenizer_sha256": tokenizer.sha256,
        "model": network.settings.model_dump(mode="json"),
        "generation": generation.model_dump(mode="json"),
        "made_with": {name: package_version(name) for name in ("llm-keras", "tensorflow", "keras")},
        **metadata,
    }


def _write_extra(folder: Path, about: Mapping[str, Any], network: Any) -> None:
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / METADATA).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    requests = warmup.requests(network.settings.kind, network.sequence_length)
    warmup.write(extra, requests)


def _next_version(destination: Path) -> int:
    versions = [int(path.name) for path in destination.iterdir() if path.name.isdecimal()]
    return max(versions, default=0) + 1


def _to_disk(folder: Path) -> None:
    """Every file and folder below, so that the rename cannot overtake their content."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
