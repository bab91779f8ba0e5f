"""The metadata of a GGUF file of a Llama-like model, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.interop.description import Description, require_same
from llm_keras.interop.layouts import Option

ARCHITECTURE = "llama"
#: Keys after `llama.` -> ours.
OPTIONS = {
    "block_count": Option("num_layers"),
    "embedding_length": Option("hidden_dim"),
    "feed_forward_length": Option("intermediate_dim"),
    "attention.head_count": Option("num_query_heads"),
    "attention.head_count_kv": Option("num_key_value_heads", "as head_count"),
    "attention.key_length": Option("head_dim", "embedding_length / head_count"),
    "attention.layer_norm_rms_epsilon": Option("normalization_epsilon"),
    "rope.freq_base": Option("rope_max_wavelength", 10_000.0),
    "expert_count": Option("num_experts", 0),
    "expert_used_count": Option("experts_per_token", 0),
}
LENGTH, VOCABULARY = "context_length", "vocab_size"
SCALING, SCALING_FACTOR = "rope.scaling.type", "rope.scaling.factor"
#: Keys that repeat what others say, and what they must then say.
REPEATED = ("rope.dimension_count", "attention.value_length")
EXPERTS = ("num_experts", "experts_per_token")


def read(metadata: Mapping[str, Any], rows: int, tied: bool, name: str) -> Description:
    """The settings that a file's metadata describe.

    Args:
        metadata: All of the file.
        rows: Of the token embedding.
        tied: Whether the file has no output matrix.
        name: Of the file, for messages.

    Raises:
        UserError: A key is missing, not known, or asks for what our models do not have.
    """
    architecture = metadata.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise UserError(f"{name}: general.architecture {architecture!r}; expected {ARCHITECTURE!r}")
    begin = f"{ARCHITECTURE}."
    options = {
        key.removeprefix(begin): value for key, value in metadata.items() if key.startswith(begin)
    }
    _refuse_others(options, name)
    fields: dict[str, Any] = {"positions": "rotary", "tie_embeddings": tied}
    for theirs, (ours, default) in OPTIONS.items():
        value = options.get(theirs, default)
        if value is None:
            raise UserError(f"{name}: {begin}{theirs} is missing")
        if not isinstance(value, str):
            fields[ours] = value
    experts = {key: fields.pop(key) for key in EXPERTS}
    if experts["num_experts"]:
        fields["experts"] = experts
    if options.get(SCALING, "none") != "none":
        fields["rope_scaling"] = {"kind": options[SCALING], "factor": options.get(SCALING_FACTOR)}
    try:
        settings = config.Model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UserError(f"{name}: {field}: {first['msg']}, got {first['input']!r}"[:300]) from None
    if any(options.get(key, settings.head_size) != settings.head_size for key in REPEATED):
        raise UserError(
            f"{name}: rotary positions turn {settings.head_size} features of a head only in part"
        )
    return Description(settings, rows, int(options.get(LENGTH, 0)) or 2048)


def write(description: Description) -> dict[str, Any]:
    """The metadata of a model.

    Raises:
        UserError: A setting has no form in a GGUF file; it is named.
    """
    settings = description.settings
    values = settings.model_dump() | {
        "num_key_value_heads": settings.key_value_heads,
        "head_dim": settings.head_size,
    }
    if settings.experts is not None:
        values |= {key: getattr(settings.experts, key) for key in EXPERTS}
    options = {
        theirs: values[ours]
        for theirs, (ours, _) in OPTIONS.items()
        if values.get(ours) is not None
    }
    options |= {LENGTH: description.sequence_length, VOCABULARY: description.vocabulary_size}
    options |= dict.fromkeys(REPEATED, settings.head_size)
    scaling = settings.rope_scaling
    if scaling is not None and scaling.kind == "linear":
        options |= {SCALING: "linear", SCALING_FACTOR: scaling.factor}
    metadata = {f"{ARCHITECTURE}.{key}": value for key, value in options.items()}
    metadata = {"general.architecture": ARCHITECTURE, **metadata}
    back = read(metadata, description.vocabulary_size, settings.tie_embeddings, "metadata")
    require_same(settings, back.settings, "GGUF's llama")
    return metadata


def _refuse_others(options: Mapping[str, Any], name: str) -> None:
    known = {*OPTIONS, LENGTH, VOCABULARY, SCALING, SCALING_FACTOR, *REPEATED}
    for key, value in options.items():
        if key not in known:
            raise UserError(
                f"{name}: {ARCHITECTURE}.{key} {str(value)[:50]!r} is not known here, and might"
                " change what the model computes"
            )
