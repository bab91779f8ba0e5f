"""The tokenizer of a run in plain Python: a SentencePiece model, without TensorFlow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from llm_keras.errors import UserError
from llm_keras.tokenizers import checks, segments

#: Ids of the special pieces in every model that `train_tokenizer` makes.
PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)
#: The user symbol that stands for a token to be guessed.
MASK = "<mask>"
#: How a piece writes a space.
SPACE = "\u2581"


class SentencePieceTokenizer:
    """Turns text into ids and back, with a SentencePiece model.

    No text ever becomes a special id: a literal `<s>` in a document is three characters like any
    others. Models that `train_tokenizer` made lose nothing: nothing is normalised or stripped, so
    `decode(encode(text)) == text`, and what has no piece of its own becomes UTF-8 byte pieces.
    Models from elsewhere do to text what their file says (T5 and Llama put a space in front and
    take it away again, T5 knows no NFKC variants). `llm_keras.tokenizers.in_graph` is the twin of
    this class in TensorFlow; both give the same ids and the same text.

    Args:
        model: The content of a `tokenizer.model` file, or its path.

    Raises:
        UserError: The file is missing, is no SentencePiece model, or has no end of text.
    """

    def __init__(self, model: bytes | str | Path) -> None:
        self.model, name = checks.read(model)
        self._processor = processor = _processor(self.model, name)
        if processor.eos_id() < 0:
            raise UserError(f"{name}: has no piece that ends a text (eos), which generation needs")
        self.eos_id: int = processor.eos_id()
        self.unk_id: int = processor.unk_id()
        self.pad_id: int = processor.pad_id() if processor.pad_id() >= 0 else self.eos_id
        self.adds_bos: bool = processor.bos_id() >= 0
        self.bos_id: int = processor.bos_id() if self.adds_bos else self.pad_id
        mask = processor.piece_to_id(MASK)
        self.mask_id: int | None = None if mask == self.unk_id else mask
        self._expressions = [re.compile(pattern) for pattern in segments.patterns(self.model)]

    def __reduce__(self) -> tuple[type[SentencePieceTokenizer], tuple[bytes]]:
        return type(self), (self.model,)

    @property
    def vocabulary_size(self) -> int:
        """Pieces of the model: every id is below it."""
        return int(self._processor.get_piece_size())

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the model file: the identity of this tokenizer."""
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without bos and eos.

        Lone surrogates, which are not Unicode text, count as U+FFFD.
        """
        text = checks.valid_text(text)
        if not self._expressions:
            return list(self._processor.encode(text))
        parts = segments.cut(text, self._expressions)
        return [number for ids in self._processor.encode(parts, num_threads=1) for number in ids]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Ids of each text, without bos and eos."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; special pieces give nothing, bytes that are no UTF-8 give U+FFFD.

        Raises:
            UserError: An id is not in the vocabulary.
        """
        return str(self._processor.decode(checks.valid_ids(ids, self.vocabulary_size)))

    def piece(self, token_id: int) -> str:
        """The piece behind an id, as SentencePiece writes it (U+2581 for a space), to look at."""
        return str(self._processor.id_to_piece(token_id))

    def piece_bytes(self) -> list[bytes]:
        """The bytes that each id adds to the text, escaped as the model's rules say."""
        return [self._spelt(token_id) for token_id in range(self.vocabulary_size)]

    def _spelt(self, token_id: int) -> bytes:
        processor, piece = self._processor, self.piece(token_id)
        if processor.is_control(token_id) or processor.is_unknown(token_id):
            return b""
        if processor.is_byte(token_id):
            return bytes([int(piece[len("<0x") : -len(">")], base=16)])
        return piece.replace(SPACE, " ").encode()


def _processor(model: bytes, name: str) -> sentencepiece.SentencePieceProcessor:
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError:
        raise UserError(
            f"{name}: {len(model)} bytes that are no SentencePiece model;"
            " make it again with `llm-keras tokenizer`"
        ) from None
    return processor
