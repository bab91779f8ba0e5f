"""config.json: every option is understood, known to be harmless, or refused by name."""

import pytest

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.interop import hugging_face

LLAMA = {
    "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 8, "max_position_embeddings": 128,
}  # fmt: skip
GPT2 = {
    "model_type": "gpt2", "vocab_size": 100, "n_embd": 64, "n_layer": 2, "n_head": 8,
    "n_positions": 32, "n_ctx": 32, "attn_pdrop": 0.1,
}  # fmt: skip
BERT = {**LLAMA, "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


def _read(options, **changes):
    return hugging_face.read({**options, **changes}, "config.json").settings


def test_llama_has_its_defaults():
    """What the file leaves out is what the model type's own class takes."""
    read = hugging_face.read(LLAMA, "config.json")
    assert read.settings == config.Model(
        num_layers=2, hidden_dim=64, intermediate_dim=96, num_query_heads=8,
        normalization_epsilon=1e-6, tie_embeddings=False, attention_bias="none",
    )  # fmt: skip
    assert (read.vocabulary_size, read.sequence_length) == (100, 128)


def test_gpt2_has_its_defaults():
    """The feed-forward layer is four times as wide; GELU is the approximation."""
    settings = _read(GPT2, n_inner=None)
    assert (settings.intermediate_dim, settings.activation) == (256, "gelu_tanh")
    assert (settings.positions, settings.normalization) == ("learned", "layer_norm")
    assert (settings.dropout, settings.normalization_epsilon) == (0.1, 1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_key_value_heads": 2}, {"num_key_value_heads": 2}),
        ({"head_dim": 16}, {"head_dim": 16}),
        ({"head_dim": None, "rope_theta": 5.0}, {"rope_max_wavelength": 5.0}),
        ({"hidden_act": "gelu"}, {"activation": "geglu"}),
        ({"attention_bias": True}, {"attention_bias": "all"}),
        ({"mlp_bias": True}, {"use_bias": True, "attention_bias": "none"}),
        ({"model_type": "qwen2"}, {"attention_bias": "query_key_value", "use_bias": False}),
        ({"model_type": "qwen2", "sliding_window": 9, "use_sliding_window": False},
         {"sliding_window": None}),
        ({"model_type": "qwen3"}, {"qk_norm": True, "head_dim": 128}),
        ({"model_type": "mistral"}, {"sliding_window": 4096}),
        ({"model_type": "mistral", "sliding_window": None}, {"sliding_window": None}),
        ({"rope_scaling": None}, {"rope_scaling": None}),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}},
         {"rope_max_wavelength": 7.0, "rope_scaling": None}),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}},
         {"rope_scaling": config.RopeScaling(kind="linear", factor=2.0)}),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0,
                           "high_freq_factor": 3.0, "original_max_position_embeddings": 64}},
         {"rope_scaling": config.RopeScaling(
             kind="llama3", factor=4.0, low_frequency_factor=1.0, high_frequency_factor=3.0,
             original_sequence_length=64)}),
    ],
)  # fmt: skip
def test_options_are_understood(options, expected):
    """Each becomes our setting."""
    settings = _read(LLAMA, **options)
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "gemma"}, "model_type 'gemma'; expected one of gpt2, llama, qwen2"),
        ({"model_type": None}, "model_type None; expected one of"),
        ({"model_type": ["llama"]}, "expected one of"),
        ({"hidden_size": None}, "hidden_dim: .*got None"),
        ({"vocab_size": "many"}, "invalid literal"),
        ({"hidden_act": "xielu"}, "hidden_act 'xielu'; expected one of silu, swish, gelu"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping 30.0 is not known of llama"),
        ({"quantization_config": {"bits": 4}}, "quantization_config .*; expected None"),
        ({"is_decoder": True}, "is_decoder True; expected False"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "rotary positions of type 'yarn'"),
        ({"rope_scaling": {"rope_type": "dynamic"}}, "rotary positions of type 'dynamic'"),
        ({"rope_scaling": {"type": "linear"}}, r"of type 'linear' with \[\]; expected default"),
        ({"rope_scaling": {"type": "linear", "factor": 2, "x": 1}}, r"with \['factor', 'x'\]"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window True; expected"),
        ({"model_type": "qwen2", "layer_types": ["sliding_attention"]}, "layer_types"),
        ({"hidden_size": 65}, "hidden_dim 65 is not a multiple of num_query_heads 8"),
    ],
)
def test_other_options_are_refused_by_name(options, message):
    """One line, with the option and its value."""
    with pytest.raises(UserError, match=message) as error:
        _read(LLAMA, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({**GPT2, "scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx True"),
        ({**GPT2, "add_cross_attention": True}, "add_cross_attention True; expected False"),
        ({**BERT, "position_embedding_type": "relative_key"}, "expected 'absolute'"),
        ({**BERT, "hidden_act": "gelu_new"}, "hidden_act 'gelu_new'; expected one of gelu"),
    ],
)
def test_options_of_gpt2_and_bert_are_refused_by_name(options, message):
    """Where their numbers would be others than ours."""
    with pytest.raises(UserError, match=message):
        _read(options)


def test_a_missing_option_is_named():
    """A file without the width says so."""
    options = dict(LLAMA)
    del options["hidden_size"]
    with pytest.raises(UserError, match=r"config\.json: hidden_size is missing"):
        _read(options)
