"""Reads a Hugging Face `tokenizer.json` and refuses what would not come out the same.

Two kinds are supported: byte-level BPE (GPT-2, Llama 3, Qwen 2, SmolLM2) and BERT's WordPiece.

References:
    https://huggingface.co/docs/tokenizers/components
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llm_keras.errors import UserError
from llm_keras.tokenizers import special_ids
from llm_keras.tokenizers.special_ids import SpecialIds

#: What an added token may not ask for: to eat spaces around it, or to stand only between words.
REFUSED_FLAGS = ("lstrip", "rstrip", "single_word")


@dataclass(frozen=True)
class TokenizerJson:
    """What all kinds have in common.

    Attributes:
        content: The parsed file.
        name: How to call it in messages.
        ids: Piece to id; without the special tokens.
        special: Special piece to id. No text becomes one of these, save unk.
        cut_out: Those of `ids` that are one token wherever they stand in a text.
    """

    content: Mapping[str, Any]
    name: str
    ids: Mapping[str, int]
    special: Mapping[str, int]
    cut_out: Mapping[str, int]

    @cached_property
    def special_ids(self) -> SpecialIds:
        """Which ids begin, end and fill a text."""
        return special_ids.find(self.content, {**self.ids, **self.special}, self.name)

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id."""
        return 1 + max([*self.ids.values(), *self.special.values()])

    @cached_property
    def pieces(self) -> list[str]:
        """What the file calls each id; empty where an id has no piece."""
        pieces = [""] * self.vocabulary_size
        for piece, number in [*self.ids.items(), *self.special.items()]:
            pieces[number] = piece
        return pieces

    def refuse(self, what: str, expected: str) -> UserError:
        """The error about a part of the file that is not supported."""
        return UserError(
            f"{self.name}: {what} is not supported, expected {expected};"
            " give the tokenizer.model of the same model if there is one, or take another"
        )

    def for_library(self) -> str:
        """The file as the package `tokenizers` is to read it.

        Special tokens keep their ids, under names that no text can spell: words hold no space.
        Nothing is put around a text, cut off or filled up.
        """
        unk = self.content["model"].get("unk_token")
        hidden = {
            piece if piece == unk else f" {number}": number
            for piece, number in self.special.items()
        }
        model = {**self.content["model"], "vocab": {**self.ids, **hidden}}
        kept = [t for t in self.content.get("added_tokens") or () if t["content"] in self.cut_out]
        nothing = dict.fromkeys(("truncation", "padding", "post_processor"))
        content = {**self.content, **nothing, "model": model, "added_tokens": kept}
        return json.dumps(content, ensure_ascii=False)


def is_tokenizer_json(model: bytes) -> bool:
    """Whether a file looks like JSON, and not like a SentencePiece model."""
    return model.lstrip()[:1] == b"{"


def parse(model: bytes, name: str) -> TokenizerJson:
    """Reads the parts that all kinds share.

    Raises:
        UserError: It is no such file, or an added token asks for what is not supported.
    """
    try:
        content = json.loads(model)
        vocabulary = content["model"]["vocab"]
        added = list(content.get("added_tokens") or ())
        everything = {**dict(vocabulary), **{token["content"]: token["id"] for token in added}}
        special = {token["content"]: token["id"] for token in added if token["special"]}
    except (ValueError, KeyError, TypeError):
        kind = _model_kind(model)
        raise UserError(
            f"{name}: {len(model)} bytes that are no tokenizer.json of byte-level BPE or WordPiece"
            f"{kind}; give the tokenizer.model of the same model if there is one"
        ) from None
    file = TokenizerJson(
        content,
        name,
        ids={piece: number for piece, number in everything.items() if piece not in special},
        special=special,
        cut_out={token["content"]: token["id"] for token in added if not token["special"]},
    )
    for token in added:
        flags = [flag for flag in REFUSED_FLAGS if token.get(flag)]
        if flags and not token["special"]:
            raise file.refuse(f"added token {token['content']!r} with {flags[0]}", "none of it")
        if token.get("normalized") and not token["special"] and content.get("normalizer"):
            raise file.refuse(f"added token {token['content']!r} with normalized", "none of it")
    return file


def _model_kind(model: bytes) -> str:
    """The kind that a file says it is, for the message about what it is not."""
    try:
        return f" (it says {json.loads(model)['model']['type']})"
    except (ValueError, KeyError, TypeError):
        return ""
