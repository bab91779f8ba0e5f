"""The tokenizer in the metadata of a GGUF file, as a file that `tokenizers.load` reads.

References:
    https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, section "Tokenizer".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm_keras.errors import UserError
from llm_keras.tokenizers import byte_pairs, model_file, special_ids

KEY = "tokenizer.ggml."
#: Types of tokens, the same numbers as in SentencePiece.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPECIAL = (UNKNOWN, CONTROL, UNUSED)
#: `tokenizer.ggml.pre` -> how texts are cut into words, and whether that kind begins with bos.
PRE_TOKENIZERS: Mapping[str, tuple[str, bool]] = {
    "gpt-2": (byte_pairs.GPT2, False),
    "smollm": (byte_pairs.GPT2, False),
    "llama-bpe": (byte_pairs.LLAMA3, True),
    "qwen2": (byte_pairs.QWEN2, False),
}


def from_gguf(metadata: Mapping[str, Any]) -> bytes:
    """A `tokenizer.json` (kind `gpt2`) or a SentencePiece model (kind `llama`).

    Args:
        metadata: Keys of the file to plain values; only those of `tokenizer.ggml` are read.

    Raises:
        UserError: A key is missing, or the kind is not supported.
    """
    kind = metadata.get(KEY + "model")
    match kind:
        case "gpt2":
            return _byte_pairs(metadata)
        case "llama":
            return _sentence_piece(metadata)
    raise UserError(
        f"GGUF tokenizer {kind!r} is not supported, expected 'gpt2' (byte-level BPE) or 'llama'"
        " (SentencePiece); import the model from a folder with its tokenizer.json"
    )


def _value(metadata: Mapping[str, Any], key: str) -> Any:
    if KEY + key not in metadata:
        raise UserError(f"GGUF file without {KEY}{key}: its tokenizer cannot be read; take another")
    return metadata[KEY + key]


def _byte_pairs(metadata: Mapping[str, Any]) -> bytes:
    name = str(metadata.get(KEY + "pre"))
    if name not in PRE_TOKENIZERS:
        raise UserError(
            f"GGUF {KEY}pre {name!r} is not supported, expected one of"
            f" {', '.join(PRE_TOKENIZERS)}; import the model from a folder with its tokenizer.json"
        )
    expression, begins = PRE_TOKENIZERS[name]
    tokens, types = _value(metadata, "tokens"), _value(metadata, "token_type")
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    steps = [_split(byte_pairs.DIGIT)] if name == "smollm" else []
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": piece, "special": kind in SPECIAL, **flags}
            for number, (piece, kind) in enumerate(zip(tokens, types, strict=True))
            if kind in (*SPECIAL, USER_DEFINED)
        ],
        "normalizer": {"type": "NFC"} if name == "qwen2" else None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [*steps, _split(expression), {**level, "use_regex": False}],
        },
        "post_processor": None,
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": name == "llama-bpe",
            "vocab": {piece: number for number, piece in enumerate(tokens)},
            "merges": _value(metadata, "merges"),
        },
    }
    settings = {
        f"{role}_token": tokens[metadata[KEY + key]]
        for role, key in (
            ("bos", "bos_token_id"),
            ("eos", "eos_token_id"),
            ("pad", "padding_token_id"),
            ("unk", "unknown_token_id"),
            ("mask", "mask_token_id"),
        )
        if KEY + key in metadata
    }
    settings["add_bos_token"] = metadata.get(KEY + "add_bos_token", begins)
    model = json.dumps(content, ensure_ascii=False).encode()
    return special_ids.with_special_tokens(model, settings)


def _split(expression: str) -> dict[str, Any]:
    pattern = {"Regex": expression}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def _sentence_piece(metadata: Mapping[str, Any]) -> bytes:
    columns = [_value(metadata, key) for key in ("tokens", "scores", "token_type")]
    pieces = [
        model_file.piece(text.encode(), score, kind)
        for text, score, kind in zip(*columns, strict=True)
    ]
    found = {
        role: int(metadata.get(f"{KEY}{key}_token_id", -1))
        for role, key in (
            ("unk", "unknown"),
            ("bos", "bos"),
            ("eos", "eos"),
            ("pad", "padding"),
        )
    }
    if found["unk"] < 0:
        found["unk"] = columns[2].index(UNKNOWN)
    return model_file.bpe(pieces, found, bool(metadata.get(KEY + "add_space_prefix", True)))
