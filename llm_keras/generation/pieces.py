"""What each token spells, in bytes: for looking at text that is still being generated.

The text of an answer comes from the tokenizer itself. Only the search for stop strings inside the
decode loop needs the bytes of single tokens, half characters included, and cannot afford a
tokenizer call at every step.
"""

from __future__ import annotations

from typing import Any

import sentencepiece
import tensorflow as tf

from llm_keras.tokenizers.escapes import RULES

Tensor = Any

SPACE = "\u2581"


def piece_bytes(model: bytes) -> list[bytes]:
    """The bytes that each id adds to the text; special pieces add none.

    Args:
        model: The content of a `tokenizer.model` file.
    """
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def spelt(token_id: int) -> bytes:
        piece = processor.IdToPiece(token_id)
        if processor.IsControl(token_id) or processor.IsUnknown(token_id):
            return b""
        if processor.IsByte(token_id):
            return bytes([int(piece[len("<0x") : -len(">")], base=16)])
        return str(piece).replace(SPACE, " ").encode()

    return [spelt(token_id) for token_id in range(processor.GetPieceSize())]


def unescape(text: Tensor) -> Tensor:
    """Undoes the tokenizer's escapes in joined pieces: string [B] to string [B].

    The escape of the escape character goes last, or its result could look like an escape.
    """
    for plain, spelt in RULES.items():
        text = tf.strings.regex_replace(text, spelt, plain)
    return text
