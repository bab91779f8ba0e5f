"""Reads a tokenizer from its file, of whichever kind."""

from __future__ import annotations

from pathlib import Path

from llm_keras.tokenizers.protocol import Tokenizer
from llm_keras.tokenizers.sentence_piece import SentencePieceTokenizer


def load(model: bytes | str | Path) -> Tokenizer:
    """The tokenizer of a file.

    Args:
        model: The content of a SentencePiece model or of a Hugging Face `tokenizer.json`, or the
            path of one; the content tells which.

    Raises:
        UserError: The file is missing, is neither, or asks for something that is not supported.
    """
    return SentencePieceTokenizer(model)
