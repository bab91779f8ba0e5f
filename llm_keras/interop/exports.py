"""Writes a model for other programs: a Hugging Face folder, or a GGUF file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_keras import config, models
from llm_keras.interop import (
    gguf_model,
    gguf_tokenizer,
    gguf_writer,
    hugging_face,
    names,
    safetensors_writer,
    weights,
)
from llm_keras.interop.description import Description
from llm_keras.tokenizers import Tokenizer
from llm_keras.tokenizers.loading import file_name

#: GGUF's number for files that are mostly float16.
MOSTLY_F16 = 1


def export_folder(
    network: models.Transformer,
    tokenizer: Tokenizer,
    destination: Path,
    generation: config.Generation,
    shard_bytes: int = safetensors_writer.SHARD_BYTES,
) -> Path:
    """Writes a folder in Hugging Face's layout: complete, or as it was.

    Args:
        network: The model.
        tokenizer: That it was trained with.
        destination: The folder; one that is there is replaced.
        generation: For generation_config.json.
        shard_bytes: Largest file of weights; more go into shards with an index.

    Raises:
        UserError: The layout has no form for a setting of the model; it is named.
    """
    layout, options = hugging_face.write(_description(network))
    ids = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }
    tensors = weights.tensors_of(network, layout.table)
    with _replaced(destination) as folder:
        folder.mkdir()
        _write_json(folder / "config.json", options | ids)
        _write_json(folder / "tokenizer_config.json", _tokenizer_config(tokenizer, options))
        if network.settings.kind == "causal_lm":
            _write_json(folder / "generation_config.json", ids | _generation_config(generation))
        (folder / file_name(tokenizer.model)).write_bytes(tokenizer.model)
        safetensors_writer.write_folder(folder, tensors, shard_bytes)
    return destination


def export_gguf(
    network: models.Transformer, tokenizer: Tokenizer, destination: Path, name: str
) -> Path:
    """Writes a GGUF file with float16 matrices: complete, or as it was.

    Args:
        network: The model.
        tokenizer: That it was trained with.
        destination: The file; one that is there is replaced.
        name: Of the model, for the file's metadata.

    Raises:
        UserError: The format has no form for a setting of the model or the tokenizer.
    """
    description = _description(network)
    metadata = {
        **gguf_model.write(description),
        "general.name": name,
        "general.file_type": MOSTLY_F16,
        **gguf_tokenizer.write(tokenizer, description.vocabulary_size),
    }
    with _replaced(destination) as file:
        gguf_writer.write(file, metadata, weights.tensors_of(network, names.GGUF_LLAMA))
    return destination


def _description(network: models.Transformer) -> Description:
    return Description(network.settings, network.vocabulary_size, network.sequence_length)


@contextmanager
def _replaced(destination: Path) -> Iterator[Path]:
    """A hidden path to be written, which takes the place of `destination` when it is whole."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    writing = destination.with_name(f".writing-{destination.name}")
    _remove(writing)
    try:
        yield writing
        _remove(destination)
        writing.rename(destination)
    except BaseException:
        _remove(writing)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tokenizer_config(tokenizer: Tokenizer, options: dict[str, Any]) -> dict[str, Any]:
    """Special tokens by name, and the class that reads the tokenizer's file."""
    is_json = file_name(tokenizer.model) == "tokenizer.json"
    special = {
        "bos_token": tokenizer.bos_id,
        "eos_token": tokenizer.eos_id,
        "pad_token": tokenizer.pad_id,
        "unk_token": tokenizer.unk_id,
        "mask_token": tokenizer.mask_id,
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast" if is_json else "LlamaTokenizer",
        "model_max_length": next(
            options[key] for key in ("max_position_embeddings", "n_positions") if key in options
        ),
        "add_bos_token": tokenizer.adds_bos,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **({} if is_json else {"legacy": False, "add_prefix_space": False}),
        **{role: tokenizer.piece(n) for role, n in special.items() if n is not None},
    }


def _generation_config(generation: config.Generation) -> dict[str, Any]:
    sampled: dict[str, Any] = {"do_sample": False}
    if generation.temperature and generation.num_beams == 1:
        sampled = {
            "do_sample": True,
            "temperature": generation.temperature,
            "top_k": generation.top_k,
            "top_p": generation.top_p,
            "min_p": generation.min_p,
        }
    return {
        **sampled,
        "num_beams": generation.num_beams,
        "max_new_tokens": generation.max_new_tokens,
        "repetition_penalty": generation.repetition_penalty,
    }
