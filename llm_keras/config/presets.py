"""Published shapes and recipes, as sections of a run file.

`preset: NAME` in a run file fills what its sections leave open. From Python, `model(NAME)` is the
shape alone. `VOCABULARY` and `LENGTH` are the published ones, for counting parameters: a run has
its own tokenizer and its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_keras.config.model import Model

Sections = dict[str, dict[str, Any]]

_VASWANI: dict[str, Any] = {
    "kind": "encoder_decoder",
    "positions": "sinusoidal",
    "activation": "relu",
    "normalization": "layer_norm",
    "normalization_epsilon": 1e-6,
    "norm_placement": "post",
    "use_bias": True,
    "attention_bias": "none",
    "share_embeddings": True,
    "tie_embeddings": True,
    "initialization": "glorot_uniform",
}
_VASWANI_USE: Sections = {"generation": {"num_beams": 4, "length_penalty": 0.6}}


def _vaswani_training(hidden_dim: int) -> dict[str, Any]:
    """Sections 5.3 and 5.4; the peak of ``d**-0.5 min(s**-0.5, s w**-1.5)`` is at step w."""
    warmup_steps = 4000
    return {
        "optimizer": {
            "learning_rate": (hidden_dim * warmup_steps) ** -0.5,
            "beta_2": 0.98,
            "epsilon": 1e-9,
            "weight_decay": 0.0,
            "clip_norm": None,
        },
        "schedule": {"kind": "noam", "warmup_steps": warmup_steps},
        "label_smoothing": 0.1,
    }


_GPT2: dict[str, Any] = {
    "positions": "learned",
    "activation": "gelu_tanh",
    "normalization": "layer_norm",
    "use_bias": True,
}

#: Preset -> sections of a run file that it fills.
PRESETS: dict[str, Sections] = {
    # Vaswani et al. 2017, table 3, "base" and "big".
    "transformer_base": {
        "model": {
            **_VASWANI, "num_layers": 6, "hidden_dim": 512, "intermediate_dim": 2048,
            "num_query_heads": 8, "dropout": 0.1,
        },
        "training": _vaswani_training(512),
        **_VASWANI_USE,
    },
    "transformer_big": {
        "model": {
            **_VASWANI, "num_layers": 6, "hidden_dim": 1024, "intermediate_dim": 4096,
            "num_query_heads": 16, "dropout": 0.3,
        },
        "training": _vaswani_training(1024),
        **_VASWANI_USE,
    },
    # Radford et al. 2019, table 2, with the sizes that the published weights have.
    "gpt2_124m": {
        "model": {
            **_GPT2, "num_layers": 12, "hidden_dim": 768, "intermediate_dim": 3072,
            "num_query_heads": 12,
        },
    },
    "gpt2_355m": {
        "model": {
            **_GPT2, "num_layers": 24, "hidden_dim": 1024, "intermediate_dim": 4096,
            "num_query_heads": 16,
        },
    },
    # Devlin et al. 2019, section 3, and appendix A.2.
    "bert_base": {
        "model": {
            "kind": "masked_lm", "num_layers": 12, "hidden_dim": 768, "intermediate_dim": 3072,
            "num_query_heads": 12, "positions": "learned", "activation": "gelu",
            "normalization": "layer_norm", "normalization_epsilon": 1e-12,
            "norm_placement": "post", "embedding_norm": True, "use_bias": True,
            "num_token_types": 2, "dropout": 0.1,
        },
        "training": {
            "optimizer": {"learning_rate": 1e-4, "beta_2": 0.999, "epsilon": 1e-6,
                          "weight_decay": 0.01},
            "schedule": {"kind": "linear", "warmup_steps": 10_000, "final_fraction": 0.0},
        },
    },
    # Grattafiori et al. 2024 and the model card of Llama 3.2.
    "llama3_2_1b": {
        "model": {
            "num_layers": 16, "hidden_dim": 2048, "intermediate_dim": 8192,
            "num_query_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
            "rope_max_wavelength": 500_000.0,
            "rope_scaling": {"kind": "llama3", "factor": 32.0, "low_frequency_factor": 1.0,
                             "high_frequency_factor": 4.0, "original_sequence_length": 8192},
        },
    },
    # Allal et al. 2025.
    "smollm2_135m": {
        "model": {
            "num_layers": 30, "hidden_dim": 576, "intermediate_dim": 1536, "num_query_heads": 9,
            "num_key_value_heads": 3, "rope_max_wavelength": 100_000.0,
        },
    },
    # Raffel et al. 2020, section 2.1, "small".
    "t5_small": {
        "model": {
            "kind": "encoder_decoder", "num_layers": 6, "hidden_dim": 512,
            "intermediate_dim": 2048, "num_query_heads": 8, "head_dim": 64,
            "positions": "relative", "activation": "relu", "normalization_epsilon": 1e-6,
            "attention_scale": 1.0, "dropout": 0.1,
        },
    },
    # The shape of Jiang et al. 2024 in small: 8 experts, 2 of them a token.
    "mixtral_small": {
        "model": {
            "num_layers": 8, "hidden_dim": 512, "intermediate_dim": 1792, "num_query_heads": 8,
            "num_key_value_heads": 2, "rope_max_wavelength": 1_000_000.0, "tie_embeddings": False,
            "sliding_window": 4096,
            "experts": {"num_experts": 8, "experts_per_token": 2},
        },
    },
}  # fmt: skip

NAMES = tuple(PRESETS)
#: Preset -> (vocabulary_size, sequence_length) of the published weights.
PUBLISHED: dict[str, tuple[int, int]] = {
    "transformer_base": (37_000, 512),
    "transformer_big": (37_000, 512),
    "gpt2_124m": (50_257, 1024),
    "gpt2_355m": (50_257, 1024),
    "bert_base": (30_522, 512),
    "llama3_2_1b": (128_256, 131_072),
    "smollm2_135m": (49_152, 8192),
    "t5_small": (32_128, 512),
    "mixtral_small": (32_000, 4096),
}


def model(name: str, **changes: Any) -> Model:
    """The shape of a preset, with some fields changed.

    >>> model("gpt2_124m", num_layers=2).hidden_dim
    768
    """
    return Model(**{**_sections(name)["model"], **changes})


def fill(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings of a run file, and from the preset what they leave open.

    Raises:
        ValueError: There is no such preset.
    """
    return _merge(_sections(name), settings)


def _sections(name: str) -> Sections:
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is none of {', '.join(NAMES)}")
    return PRESETS[name]


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, sections merged; where both have a value, that of `above`."""
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            merged[key] = _merge(below[key], above[key])
    return merged
