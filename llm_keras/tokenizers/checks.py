"""What every tokenizer asks of the file, the texts and the ids it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llm_keras.errors import UserError


def read(model: bytes | str | Path) -> tuple[bytes, str]:
    """The content of a tokenizer's file, and how to call it in messages.

    Raises:
        UserError: It cannot be read.
    """
    if isinstance(model, bytes):
        return model, "tokenizer model"
    try:
        return Path(model).read_bytes(), str(model)
    except FileNotFoundError:
        raise UserError(f"{model}: no tokenizer here; run `llm-keras tokenizer` first") from None
    except OSError as error:
        raise UserError(f"{model}: cannot be read: {error.strerror}") from None


def valid_text(text: str) -> str:
    r"""The text, with U+FFFD for lone surrogates, which are not Unicode text.

    >>> ascii(valid_text("a" + chr(0xD800)))
    "'a\\ufffd'"
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def valid_ids(ids: Sequence[int], vocabulary_size: int) -> list[int]:
    """The ids as integers.

    Raises:
        UserError: One is not in the vocabulary.
    """
    numbers = [int(number) for number in ids]
    if numbers and not 0 <= min(numbers) <= max(numbers) < vocabulary_size:
        wrong = next(n for n in numbers if not 0 <= n < vocabulary_size)
        raise UserError(f"token id {wrong} is not in the vocabulary of {vocabulary_size} pieces")
    return numbers
