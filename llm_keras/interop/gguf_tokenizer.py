"""A run's tokenizer as the metadata of a GGUF file; `tokenizers.gguf` is the way back."""

from __future__ import annotations

import json
from typing import Any

import sentencepiece

from llm_keras.errors import UserError
from llm_keras.tokenizers import Tokenizer, byte_pairs, model_file
from llm_keras.tokenizers.gguf import BYTE, CONTROL, KEY, NORMAL, UNKNOWN, UNUSED, USER_DEFINED
from llm_keras.tokenizers.loading import file_name

#: How a tokenizer.json cuts texts into words -> what GGUF calls it.
PRE_TOKENIZERS = {
    (byte_pairs.GPT2,): "gpt-2",
    (byte_pairs.DIGIT, byte_pairs.GPT2): "smollm",
    (byte_pairs.LLAMA3,): "llama-bpe",
    (byte_pairs.QWEN2,): "qwen2",
}


def write(tokenizer: Tokenizer, rows: int) -> dict[str, Any]:
    """The metadata of a tokenizer, filled up to the rows of the model's embedding.

    Raises:
        UserError: GGUF has no name for what it does.
    """
    if file_name(tokenizer.model) == "tokenizer.json":
        metadata = _byte_pairs(json.loads(tokenizer.model), tokenizer)
    else:
        metadata = _sentence_piece(tokenizer)
    filling = rows - tokenizer.vocabulary_size
    metadata["tokens"] += [f"[PAD{rows - n}]" for n in range(filling, 0, -1)]
    metadata["token_type"] += [UNUSED] * filling
    if "scores" in metadata:
        metadata["scores"] += [0.0] * filling
    metadata |= {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "unknown_token_id": tokenizer.unk_id,
        "padding_token_id": tokenizer.pad_id,
        "add_bos_token": tokenizer.adds_bos,
    }
    return {KEY + name: value for name, value in metadata.items()}


def _sentence_piece(tokenizer: Tokenizer) -> dict[str, Any]:
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer.model)
    numbers = range(tokenizer.vocabulary_size)
    symbols = set(model_file.user_symbols(tokenizer.model))
    pieces = [processor.id_to_piece(number) for number in numbers]

    def kind(number: int) -> int:
        kinds = {
            UNKNOWN: processor.is_unknown(number),
            CONTROL: processor.is_control(number),
            BYTE: processor.is_byte(number),
            UNUSED: processor.is_unused(number),
            USER_DEFINED: pieces[number] in symbols,
            NORMAL: True,
        }
        return next(kind for kind, holds in kinds.items() if holds)

    first = processor.encode("a", out_type=str)
    return {
        "model": "t5" if model_file.is_unigram(tokenizer.model) else "llama",
        "tokens": pieces,
        "scores": [float(processor.get_score(number)) for number in numbers],
        "token_type": [kind(number) for number in numbers],
        "add_space_prefix": first[:1] != ["a"],
    }


def _byte_pairs(content: dict[str, Any], tokenizer: Tokenizer) -> dict[str, Any]:
    model = content["model"]
    if model.get("type") != "BPE":
        raise UserError(f"a tokenizer of {model.get('type')} has no form in a GGUF file of a Llama")
    added = {token["id"]: token for token in content.get("added_tokens") or ()}
    pieces = [tokenizer.piece(number) for number in range(tokenizer.vocabulary_size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return {
        "model": "gpt2",
        "pre": _pre_tokenizer(content.get("pre_tokenizer")),
        "tokens": pieces,
        "token_type": [
            NORMAL if n not in added else CONTROL if added[n]["special"] else USER_DEFINED
            for n in range(len(pieces))
        ],
        "merges": merges,
    }


def _pre_tokenizer(settings: dict[str, Any] | None) -> str:
    """GGUF's name of the way that texts are cut into words."""
    settings = settings or {}
    expressions: list[str] = []
    for step in settings.get("pretokenizers", [settings]):
        match step:
            case {"type": "Split", "pattern": {"Regex": expression}}:
                expressions.append(expression)
            case {"type": "Digits", "individual_digits": True}:
                expressions.append(byte_pairs.DIGIT)
            case {"type": "ByteLevel"} if step.get("use_regex", True):
                expressions.append(byte_pairs.GPT2)
    name = PRE_TOKENIZERS.get(tuple(expressions))
    if name is None:
        known = ", ".join(PRE_TOKENIZERS.values())
        raise UserError(
            f"the tokenizer cuts words in a way that GGUF has no name for; known: {known}"
        )
    return name
