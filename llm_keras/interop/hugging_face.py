"""config.json of a Hugging Face folder, in and out, by the tables of `layouts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.interop.description import Description, no_form, require_same
from llm_keras.interop.layouts import FIXED, LAYOUTS, LENGTH, LENGTHS, UNUSED, VOCABULARY, Layout

#: What rotary positions are called: today in one object, before in two places.
ROPE_OPTIONS = ("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor")
LLAMA3 = {
    "factor": "factor",
    "low_freq_factor": "low_frequency_factor",
    "high_freq_factor": "high_frequency_factor",
    "original_max_position_embeddings": "original_sequence_length",
}


def layout_of(options: Mapping[str, Any], name: str) -> Layout:
    """The table of a config.json's model type.

    Raises:
        UserError: It is not known here.
    """
    model_type = options.get("model_type")
    if not isinstance(model_type, str) or model_type not in LAYOUTS:
        raise UserError(f"{name}: model_type {model_type!r}; expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[model_type]


def read(options: Mapping[str, Any], name: str) -> Description:
    """The settings that a config.json describes; `name` stands for it in messages.

    Raises:
        UserError: An option is missing, not known, or asks for what our models do not have.
    """
    layout = layout_of(options, name)
    length = LENGTHS.get(layout.model_type, LENGTH)
    _refuse_others(layout, options, (VOCABULARY, length), name)
    fields = dict(layout.implied)
    for theirs, (ours, default) in layout.options.items():
        value = options.get(theirs, default)
        if value is None and theirs not in options:
            raise UserError(f"{name}: {theirs} is missing")
        if not isinstance(value, str) or value != default:
            fields[ours] = value
    fields["activation"] = _activation(layout, options, name)
    if layout.rotary:
        fields |= _read_rope(options, name)
    try:
        settings = config.Model.model_validate(_our_values(fields, options))
        sizes = [int(options[key]) for key in (VOCABULARY, length)]
    except KeyError as error:
        raise UserError(f"{name}: {error.args[0]} is missing") from None
    except (ValidationError, TypeError, ValueError) as error:
        raise UserError(f"{name}: {_first(error)}") from None
    return Description(settings, *sizes)


def write(description: Description) -> tuple[Layout, dict[str, Any]]:
    """The layout that a model has a form in, and its config.json.

    Raises:
        UserError: A setting has no form there; it is named.
    """
    settings = description.settings
    layout = _nearest(settings)
    given = _their_values(settings)
    options = {
        "model_type": layout.model_type,
        "architectures": [layout.architecture],
        VOCABULARY: description.vocabulary_size,
        LENGTHS.get(layout.model_type, LENGTH): description.sequence_length,
        **{theirs: given[ours] for theirs, (ours, _) in layout.options.items()},
        **layout.fixed,
        **dict.fromkeys(layout.unused),
        **(_write_rope(settings) if layout.rotary else {}),
        "torch_dtype": "float32",
    }
    by_ours = {ours: theirs for theirs, ours in reversed(layout.activations.items())}
    options[layout.activation.ours] = by_ours.get(settings.activation)
    if options[layout.activation.ours] is None:
        raise no_form(layout.model_type, "activation", settings.activation, "|".join(by_ours))
    require_same(settings, read(options, "config.json").settings, layout.model_type)
    return layout, options


def _nearest(settings: config.Model) -> Layout:
    """The layout that a model would have a form in, if in any."""
    if settings.kind == "encoder_decoder":
        raise UserError(
            "model.kind: encoder_decoder has no form in the layouts of"
            f" {', '.join(LAYOUTS)}; --format saved-model holds every model"
        )
    signs = {
        "bert": settings.kind == "masked_lm",
        "gpt2": settings.positions == "learned",
        "mixtral": settings.experts is not None,
        "mistral": settings.sliding_window is not None,
        "qwen3": settings.qk_norm,
        "qwen2": settings.attention_biases == "query_key_value",
        "llama": True,
    }
    return LAYOUTS[next(name for name, shown in signs.items() if shown)]


def _refuse_others(
    layout: Layout, options: Mapping[str, Any], sizes: tuple[str, str], name: str
) -> None:
    known = {*layout.options, *layout.unused, *UNUSED, *sizes, layout.activation.ours}
    known |= set(ROPE_OPTIONS) if layout.rotary else set()
    fixed = FIXED | layout.fixed
    for option, value in options.items():
        if option == "layer_types" and set(value or ()) <= {"full_attention"}:
            continue
        if option in fixed:
            if value not in (fixed[option], None):
                raise UserError(f"{name}: {option} {value!r}; expected {fixed[option]!r}")
        elif option not in known and value is not None:
            raise UserError(
                f"{name}: {option} {value!r} is not known of {layout.model_type} here, and might"
                " change what the model computes"
            )


def _activation(layout: Layout, options: Mapping[str, Any], name: str) -> str:
    option, default = layout.activation
    value = options.get(option, default)
    if value not in layout.activations:
        known = ", ".join(layout.activations)
        raise UserError(f"{name}: {option} {value!r}; expected one of {known}")
    return layout.activations[value]


def _our_values(fields: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The few values that are written otherwise there."""
    fields = dict(fields)
    if fields.get("intermediate_dim") is None and "n_embd" in options:
        fields["intermediate_dim"] = 4 * options["n_embd"]
    if isinstance(fields.get("attention_bias"), bool):
        fields["attention_bias"] = "all" if fields["attention_bias"] else "none"
    experts = {
        name.removeprefix("experts."): fields.pop(name)
        for name in list(fields)
        if name.startswith("experts.")
    }
    return fields | ({"experts": experts} if experts else {})


def _their_values(settings: config.Model) -> dict[str, Any]:
    """Our settings by our names, as the layouts' options hold them."""
    values = settings.model_dump() | {
        "num_key_value_heads": settings.key_value_heads,
        "head_dim": settings.head_size,
        "attention_bias": settings.attention_biases != "none",
    }
    if settings.experts is not None:
        values |= {f"experts.{name}": value for name, value in settings.experts}
    return values


def _read_rope(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    today, before = options.get("rope_parameters") or {}, options.get("rope_scaling") or {}
    parameters = {**before, **today}
    if options.get("partial_rotary_factor", 1.0) not in (1.0, None):
        raise UserError(f"{name}: partial_rotary_factor {options['partial_rotary_factor']!r}")
    theta = parameters.pop("rope_theta", options.get("rope_theta", 10_000.0))
    kind = parameters.pop("rope_type", parameters.pop("type", "default"))
    parameters.pop("type", None)
    fields: dict[str, Any] = {"rope_max_wavelength": theta}
    if kind == "default" and not parameters:
        return fields
    expected = {"linear": {"factor"}, "llama3": set(LLAMA3)}
    if kind not in expected or set(parameters) != expected[kind]:
        raise UserError(
            f"{name}: rotary positions of type {kind!r} with {sorted(parameters)}; expected"
            f" default, linear with ['factor'] or llama3 with {sorted(LLAMA3)}"
        )
    scaling = {LLAMA3[key]: value for key, value in parameters.items()}
    return fields | {"rope_scaling": {"kind": kind, **scaling}}


def _write_rope(settings: config.Model) -> dict[str, Any]:
    options: dict[str, Any] = {"rope_theta": settings.rope_max_wavelength}
    scaling = settings.rope_scaling
    if scaling is not None:
        keys = LLAMA3 if scaling.kind == "llama3" else {"factor": "factor"}
        values = {theirs: getattr(scaling, ours) for theirs, ours in keys.items()}
        options["rope_scaling"] = {"rope_type": scaling.kind, **values}
    return options


def _first(error: Exception) -> str:
    """The first of pydantic's problems in a line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        return f"{field}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}"[
            :300
        ]
    return str(error)
