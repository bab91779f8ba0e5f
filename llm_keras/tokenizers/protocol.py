"""What every tokenizer does, whichever file it was read from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """Turns text into ids and back, in plain Python.

    No text ever becomes a special id. `llm_keras.tokenizers.in_graph` holds twins of all
    tokenizers in TensorFlow, which give the same ids and the same text.
    """

    @property
    def model(self) -> bytes:
        """The content of the file: all that there is to know about this tokenizer."""

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of `model`: the identity of this tokenizer."""

    @property
    def vocabulary_size(self) -> int:
        """Every id is below it."""

    @property
    def pad_id(self) -> int:
        """Fills up rows. A tokenizer without one takes eos: rows need lengths or segments then."""

    @property
    def unk_id(self) -> int:
        """For what cannot be spelt; eos in a tokenizer that spells everything and has none."""

    @property
    def bos_id(self) -> int:
        """What a decoder is first given: the beginning of a text, or pad where there is none."""

    @property
    def eos_id(self) -> int:
        """Ends a text. May be bos as well (GPT-2), and pad."""

    @property
    def mask_id(self) -> int | None:
        """Stands for a token that the model is to guess; None if there is none."""

    @property
    def adds_bos(self) -> bool:
        """Whether the models of this tokenizer see bos before every text."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without bos and eos."""

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Ids of each text, without bos and eos."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; special ids give nothing, bytes that are no UTF-8 give U+FFFD."""

    def piece(self, token_id: int) -> str:
        """What the file calls this id, to look at."""

    def piece_bytes(self) -> list[bytes]:
        """The bytes that each id adds to a text, half characters included; special ids add none."""
