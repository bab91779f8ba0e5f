"""What a file says about its model, and whether two models compute the same."""

from __future__ import annotations

from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.errors import UserError

#: Our settings that leave what a trained model computes as it is.
OF_TRAINING = frozenset(
    ["attention_block_length", "dropout", "initialization", "initializer_range", "mup_base_dim"]
)


class Description(NamedTuple):
    """The shape of a model in a file."""

    settings: config.Model
    vocabulary_size: int
    sequence_length: int


def require_same(ours: config.Model, theirs: config.Model, layout: str) -> None:
    """Refuses a model that would not come back from a file of a layout as it is.

    Args:
        ours: The model.
        theirs: What the file's settings mean when they are read again.
        layout: For the message.

    Raises:
        UserError: A setting has no form in the layout; it is named.
    """
    one, other = _effective(ours), _effective(theirs)
    for name, value in one.items():
        if value != other[name]:
            raise no_form(layout, name, value, other[name])


def no_form(layout: str, field: str, ours: Any, theirs: Any) -> UserError:
    """The error about a setting that a layout does not have."""
    return UserError(
        f"model.{field}: {ours} has no form in the layout of {layout}, which has {theirs};"
        " --format saved-model holds every model"
    )


def _effective(settings: config.Model) -> dict[str, Any]:
    """What the model computes with, where a setting may be left open."""
    values = settings.model_dump(exclude=set(OF_TRAINING))
    if settings.experts is not None:
        fields = {"num_experts", "experts_per_token"}
        values["experts"] = settings.experts.model_dump(include=fields)
    return values | {
        "num_key_value_heads": settings.key_value_heads,
        "head_dim": settings.head_size,
        "num_encoder_layers": settings.encoder_layers,
        "scale_embeddings": settings.embeddings_scaled,
        "attention_bias": settings.attention_biases,
        "final_norm": settings.ends_with_norm,
        "attention_scale": settings.score_scale,
        "width_multiplier": settings.width_multiplier,
    }
