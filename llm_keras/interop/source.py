"""Opens a model from elsewhere, of whichever kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from llm_keras import tokenizers
from llm_keras.errors import UserError
from llm_keras.interop import garden, gguf, gguf_model, hugging_face, names, safetensors_folder
from llm_keras.interop.description import Description
from llm_keras.interop.tensor import Tensors
from llm_keras.tokenizers.gguf import from_gguf
from llm_keras.tokenizers.special_ids import with_special_tokens


@dataclass(frozen=True)
class Source:
    """A model in files of another program.

    Attributes:
        path: Where it is.
        description: Its shape.
        tensors, table: Its weights, and what they are called.
        tokenizer: The content of its tokenizer's file, as `tokenizers.load` reads it; None if it
            has none.
    """

    path: Path
    description: Description
    tensors: Tensors
    table: names.Table
    tokenizer: bytes | None

    @property
    def name(self) -> str:
        """A short name, fit to be served under."""
        stem = self.path.resolve().name.removesuffix(".gguf")
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.") or "model"


def open_source(path: Path, tokenizer: Path | None = None) -> Source:
    """Reads what a model from elsewhere is; its weights stay on disk.

    Args:
        path: A Hugging Face folder, a GGUF file, or the prefix of a Model Garden checkpoint.
        tokenizer: A file to use in place of the source's own; a Garden checkpoint has none.

    Raises:
        UserError: It is none of these, or not as it should be.
    """
    if path.is_dir():
        source = _open_folder(path, own_tokenizer=tokenizer is None)
    elif path.is_file():
        source = _open_gguf(path, own_tokenizer=tokenizer is None)
    elif garden.is_checkpoint(path):
        tensors = garden.read(path)
        source = Source(path, garden.describe(tensors, str(path)), tensors, names.GARDEN, None)
    else:
        raise UserError(
            f"{path}: expected a Hugging Face folder, a .gguf file or the prefix of a TensorFlow"
            " checkpoint, found nothing"
        )
    if tokenizer is not None:
        content = tokenizers.load(tokenizer).model
        source = Source(path, source.description, source.tensors, source.table, content)
    _check_tokenizer(source)
    return source


def _open_folder(folder: Path, own_tokenizer: bool) -> Source:
    options = safetensors_folder.read_json(folder / "config.json")
    name = str(folder / "config.json")
    description = hugging_face.read(options, name)
    table = hugging_face.layout_of(options, name).table
    content = _folder_tokenizer(folder, description.vocabulary_size) if own_tokenizer else None
    tensors = safetensors_folder.read_folder(folder)
    return Source(folder, description, tensors, table, content)


def _folder_tokenizer(folder: Path, vocabulary_size: int) -> bytes | None:
    """tokenizer.json with its special tokens named in it, or a SentencePiece model."""
    if (folder / "tokenizer.json").is_file():
        settings_file = folder / "tokenizer_config.json"
        settings = safetensors_folder.read_json(settings_file) if settings_file.exists() else {}
        safetensors_folder.read_json(folder / "tokenizer.json")
        content = (folder / "tokenizer.json").read_bytes()
        return with_special_tokens(content, settings, vocabulary_size)
    if (folder / "tokenizer.model").is_file():
        return (folder / "tokenizer.model").read_bytes()
    return None


def _open_gguf(path: Path, own_tokenizer: bool) -> Source:
    file = gguf.read(path)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise UserError(f"{path}: token_embd.weight is missing")
    tied = "output.weight" not in file.tensors
    description = gguf_model.read(file.metadata, embedding.shape[0], tied, str(path))
    content = from_gguf(file.metadata) if own_tokenizer else None
    return Source(path, description, file.tensors, names.GGUF_LLAMA, content)


def _check_tokenizer(source: Source) -> None:
    """Every id of the tokenizer must have a row of the embedding."""
    if source.tokenizer is None:
        return
    rows, pieces = (
        source.description.vocabulary_size,
        tokenizers.load(source.tokenizer).vocabulary_size,
    )
    if pieces > rows:
        raise UserError(
            f"{source.path}: the tokenizer has {pieces} pieces, but the model's embedding {rows}"
            " rows; they do not belong together"
        )
