"""Which ids of a Hugging Face `tokenizer.json` begin, end and fill a text.

The file itself does not say: other files beside it do. `with_special_tokens` writes it into the
file's post-processor, as special tokens that are named by what they do, so that one file is all
there is to a tokenizer and every other reader still understands it. Where nothing was written, the
template of the post-processor and the usual names tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from llm_keras.errors import UserError

#: What a token does -> its usual names, the first that a file has.
USUAL_NAMES = {
    "bos": ("<|begin_of_text|>", "<s>", "<bos>", "[CLS]", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("<|end_of_text|>", "</s>", "<eos>", "[SEP]", "<|endoftext|>"),
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<|finetune_right_pad_id|>"),
    "unk": ("[UNK]", "<unk>"),
    "mask": ("[MASK]", "<mask>"),
}
#: What a token does -> where `tokenizer_config.json` says so.
CONFIG_KEYS = {
    "bos": ("bos_token", "cls_token"),
    "eos": ("eos_token", "sep_token"),
    "pad": ("pad_token",),
    "unk": ("unk_token",),
    "mask": ("mask_token",),
}


class SpecialIds(NamedTuple):
    """The ids of the protocol `Tokenizer`."""

    pad: int
    unk: int
    bos: int
    eos: int
    mask: int | None
    adds_bos: bool


def find(content: Mapping[str, Any], ids: Mapping[str, int], name: str) -> SpecialIds:
    """The special ids of a parsed `tokenizer.json`.

    Args:
        content: The file.
        ids: Piece to id, added tokens included.
        name: How to call the file in messages.

    Raises:
        UserError: Nothing tells how a text ends, or the post-processor is not supported.
    """
    around = _post_processor(content.get("post_processor"), name)
    named = dict(around.ids)
    unk = content["model"].get("unk_token")
    if unk in ids:
        named.setdefault("unk", ids[unk])
    for role, usual in USUAL_NAMES.items():
        found = next((ids[piece] for piece in usual if piece in ids), None)
        if found is not None:
            named.setdefault(role, found)
    if "eos" not in named:
        raise UserError(
            f"{name}: does not say which token ends a text; keep tokenizer_config.json, with its"
            " eos_token, beside it when it is imported"
        )
    eos = named["eos"]
    pad = named.get("pad", eos)
    bos, unk_id = named.get("bos", pad), named.get("unk", eos)
    return SpecialIds(pad, unk_id, bos, eos, named.get("mask"), around.adds_bos)


def with_special_tokens(
    model: bytes, settings: Mapping[str, Any], vocabulary_size: int | None = None
) -> bytes:
    """A `tokenizer.json` that says itself what `tokenizer_config.json` says beside it.

    Args:
        model: The content of the `tokenizer.json`.
        settings: The parsed `tokenizer_config.json`: `bos_token`, `eos_token`, `pad_token`,
            `unk_token`, `mask_token` (BERT: `cls_token`, `sep_token`) and `add_bos_token`.
        vocabulary_size: Rows of the model's embedding. Where it has more than the file has tokens
            (Qwen 2 fills up to a multiple of 128), unused tokens are added.

    Raises:
        UserError: A token is not in the vocabulary, or the vocabulary has more tokens than rows.
    """
    content = json.loads(model)
    added = content["added_tokens"] = list(content.get("added_tokens") or ())
    ids = {**content["model"]["vocab"], **{token["content"]: token["id"] for token in added}}
    around = _post_processor(content.get("post_processor"), "tokenizer.json")
    names = {number: piece for piece, number in ids.items()}
    pieces = {role: names[number] for role, number in around.ids.items()}
    for role, keys in CONFIG_KEYS.items():
        said = next((settings[key] for key in keys if settings.get(key)), None)
        if said is not None:
            pieces[role] = said["content"] if isinstance(said, Mapping) else said
    for role, piece in pieces.items():
        if piece not in ids:
            raise UserError(f"tokenizer_config.json: {role} is {piece!r}, which is no token of it")
    around = _Around(
        {role: ids[piece] for role, piece in pieces.items()},
        bool(settings.get("add_bos_token", around.adds_bos)) and "bos" in pieces,
        around.adds_eos,
    )
    content["post_processor"] = _template(around, names)
    if vocabulary_size is not None:
        added += _unused(max(ids.values()) + 1, vocabulary_size)
    return json.dumps(content, ensure_ascii=False).encode()


class _Around(NamedTuple):
    """What a post-processor says: ids by what they do, and what is put around a text."""

    ids: dict[str, int]
    adds_bos: bool = False
    adds_eos: bool = False


def _post_processor(settings: Any, name: str) -> _Around:
    match settings:
        case None | {"type": "ByteLevel"}:
            return _Around({})
        case {"type": "Sequence", "processors": [*parts]}:
            found = [_post_processor(part, name) for part in parts]
            ids = {role: number for part in found for role, number in part.ids.items()}
            return _Around(
                ids, any(part.adds_bos for part in found), any(part.adds_eos for part in found)
            )
        case {"type": "BertProcessing" | "RobertaProcessing", "cls": [_, bos], "sep": [_, eos]}:
            return _Around({"bos": bos, "eos": eos}, adds_bos=True, adds_eos=True)
        case {"type": "TemplateProcessing", "single": [*parts], "special_tokens": tokens}:
            return _from_template(parts, tokens, name)
    kind = settings.get("type") if isinstance(settings, dict) else settings
    raise UserError(
        f"{name}: post-processor {kind} is not supported, only templates with one token before and"
        " after a text; take a tokenizer without it"
    )


def _from_template(parts: list[Any], tokens: Any, name: str) -> _Around:
    ids = {key: token["ids"][0] for key, token in tokens.items()}
    at = next((n for n, part in enumerate(parts) if "Sequence" in part), len(parts))
    before, after = parts[:at], parts[at + 1 :]
    if len(before) > 1 or len(after) > 1:
        raise UserError(
            f"{name}: puts {len(before)} tokens before and {len(after)} after a text, expected at"
            " most one of each, bos and eos; take a tokenizer without them"
        )
    found = {role: ids[role] for role in USUAL_NAMES if role in ids}
    for role, tokens_there in (("bos", before), ("eos", after)):
        for part in tokens_there:
            found[role] = ids[part["SpecialToken"]["id"]]
    return _Around(found, bool(before), bool(after))


def _template(around: _Around, names: Mapping[int, str]) -> dict[str, Any]:
    """The post-processor that names special tokens by what they do."""
    bos = [{"SpecialToken": {"id": "bos", "type_id": 0}}] if around.adds_bos else []
    eos = [{"SpecialToken": {"id": "eos", "type_id": 0}}] if around.adds_eos else []
    first, second = ({"Sequence": {"id": "AB"[n], "type_id": n}} for n in (0, 1))
    return {
        "type": "TemplateProcessing",
        "single": [*bos, first, *eos],
        "pair": [*bos, first, *eos, second, *eos],
        "special_tokens": {
            role: {"id": role, "ids": [number], "tokens": [names[number]]}
            for role, number in around.ids.items()
        },
    }


def _unused(first: int, vocabulary_size: int) -> list[dict[str, Any]]:
    if first > vocabulary_size:
        raise UserError(
            f"tokenizer.json has {first} tokens, but the model's embedding {vocabulary_size} rows;"
            " they do not belong together"
        )
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [
        {"id": number, "content": f"<|unused_{number}|>", "special": True, **flags}
        for number in range(first, vocabulary_size)
    ]
