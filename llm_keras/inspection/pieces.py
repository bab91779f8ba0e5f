"""A tokenizer: its pieces by id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llm_keras.inspection.window import Window, shown
from llm_keras.tokenizers import SentencePieceTokenizer


def is_tokenizer(path: Path) -> bool:
    """A SentencePiece model file."""
    return path.is_file() and path.suffix == ".model"


def show(path: Path, window: Window) -> Iterator[str]:
    """Identity, then pieces as SentencePiece writes them (U+2581 for a space)."""
    tokenizer = SentencePieceTokenizer(path)
    yield f"tokenizer {path}: SHA-256 {tokenizer.sha256}"
    yield window.told(tokenizer.vocabulary_size, "pieces")
    for token_id, _ in window.of(range(tokenizer.vocabulary_size)):
        yield f"  {token_id}: {shown(tokenizer.piece(token_id))}"
