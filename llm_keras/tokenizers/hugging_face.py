"""A tokenizer of Hugging Face's `tokenizer.json` in plain Python, without TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers

from llm_keras.tokenizers import byte_pairs, checks, tokenizer_json, word_pieces
from llm_keras.tokenizers.byte_pairs import BytePairs
from llm_keras.tokenizers.word_pieces import WordPieces


class HuggingFaceTokenizer:
    """Turns text into ids and back, with byte-level BPE or WordPiece.

    No text ever becomes a special id: a literal `<|endoftext|>` in a document is spelt as any
    other text. That differs from what the file's own readers do by default. Added tokens that
    the file does not call special are text, and are one id wherever they stand.

    Byte-level BPE loses nothing, so `decode(encode(text)) == text`, save where the file says
    otherwise: NFC (Qwen 2) composes characters, `add_prefix_space` adds a space, and bytes that
    the vocabulary lacks are left out (SmolLM2 has none for a few rare planes). WordPiece loses
    spaces, case, accents and words that it cannot spell.

    Args:
        model: The content of a `tokenizer.json`, or its path.

    Raises:
        UserError: The file is missing, is none, or asks for what is not supported.
    """

    def __init__(self, model: bytes | str | Path) -> None:
        self.model, name = checks.read(model)
        self._tables = parse(self.model, name)
        file = self._tables.file
        self._library = tokenizers.Tokenizer.from_str(file.for_library())
        ids = file.special_ids
        self.pad_id, self.unk_id, self.bos_id, self.eos_id = ids[:4]
        self.mask_id, self.adds_bos = ids.mask, ids.adds_bos
        self._spelt = self._tables.piece_bytes()

    def __reduce__(self) -> tuple[type[HuggingFaceTokenizer], tuple[bytes]]:
        return type(self), (self.model,)

    @property
    def vocabulary_size(self) -> int:
        """Every id is below it."""
        return len(self._spelt)

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file: the identity of this tokenizer."""
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without bos and eos.

        Lone surrogates, which are not Unicode text, count as U+FFFD.
        """
        return list(self._library.encode(checks.valid_text(text)).ids)

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Ids of each text, without bos and eos."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; special ids give nothing, bytes that are no UTF-8 give U+FFFD.

        Raises:
            UserError: An id is not in the vocabulary.
        """
        spelt = b"".join(self._spelt[n] for n in checks.valid_ids(ids, self.vocabulary_size))
        text = spelt.decode("utf-8", "replace")
        return text.removeprefix(" ") if isinstance(self._tables, WordPieces) else text

    def piece(self, token_id: int) -> str:
        """What the file calls this id, to look at; byte-level BPE writes a space as U+0120."""
        return self._tables.file.pieces[token_id]

    def piece_bytes(self) -> list[bytes]:
        """The bytes that each id adds to a text; special ids add none."""
        return list(self._spelt)


def parse(model: bytes, name: str = "tokenizer.json") -> BytePairs | WordPieces:
    """The checked content of a `tokenizer.json`.

    Raises:
        UserError: It is none, or asks for what is not supported.
    """
    file = tokenizer_json.parse(model, name)
    match file.content["model"]:
        case {"type": "BPE"}:
            return byte_pairs.parse(file)
        case {"type": "WordPiece"}:
            return word_pieces.parse(file)
        case {"type": kind}:
            raise file.refuse(f"model {kind}", "byte-level BPE or WordPiece")
    raise file.refuse("a model of no type", "byte-level BPE or WordPiece")
