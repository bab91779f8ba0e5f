"""Reads a tokenizer from its file, of whichever kind."""

from __future__ import annotations

from pathlib import Path

from llm_keras.tokenizers import checks
from llm_keras.tokenizers.hugging_face import HuggingFaceTokenizer
from llm_keras.tokenizers.protocol import Tokenizer
from llm_keras.tokenizers.sentence_piece import SentencePieceTokenizer
from llm_keras.tokenizers.tokenizer_json import is_tokenizer_json


def load(model: bytes | str | Path) -> Tokenizer:
    """The tokenizer of a file.

    Args:
        model: The content of a SentencePiece model or of a Hugging Face `tokenizer.json`, or the
            path of one; the content tells which.

    Raises:
        UserError: The file is missing, is neither, or asks for something that is not supported.
    """
    content, _ = checks.read(model)
    return (
        HuggingFaceTokenizer(model) if is_tokenizer_json(content) else SentencePieceTokenizer(model)
    )


def file_name(model: bytes) -> str:
    """What to call the file that holds this content."""
    return "tokenizer.json" if is_tokenizer_json(model) else "tokenizer.model"
