"""KerasHub's own converter loads what we export, and its backbones give the same logits."""

import os

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, interop, models, tokenizers
from llm_keras.config import presets
from llm_keras.tokenizers.training import train

os.environ["KERAS_BACKEND"] = "tensorflow"
keras_hub = pytest.importorskip("keras_hub")

# NumPy 2 and TensorFlow's arrays; nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RANDOM = np.random.default_rng(9)
VOCABULARY, LENGTH = 320, 16
TOKENS = RANDOM.integers(0, VOCABULARY, [2, 12]).astype("int32")
SMALL = {"num_layers": 2, "hidden_dim": 32, "intermediate_dim": 128, "num_query_heads": 4}
#: KerasHub takes 1e-6 for Llama, whatever the file says.
LLAMA = {**SMALL, "num_key_value_heads": 2, "normalization_epsilon": 1e-6}
LLAMA3 = {"kind": "llama3", "factor": 8.0, "original_sequence_length": 8}

CASES = {
    "llama": ("LlamaBackbone", config.Model(**LLAMA)),
    "llama-untied": ("LlamaBackbone", config.Model(**LLAMA, tie_embeddings=False)),
    "llama-3.1": ("Llama3Backbone", config.Model(**LLAMA, rope_scaling=LLAMA3)),
    "qwen2": ("QwenBackbone", config.Model(**LLAMA, attention_bias="query_key_value")),
    "mistral": (
        "MistralBackbone",
        config.Model(**LLAMA, sliding_window=5, tie_embeddings=False),
    ),
    "mixtral": (
        "MixtralBackbone",
        presets.model("mixtral_small", **LLAMA, experts={"num_experts": 4, "experts_per_token": 2}),
    ),
    "gpt2": ("GPT2Backbone", presets.model("gpt2_124m", **SMALL)),
    "bert": ("BertBackbone", presets.model("bert_base", **SMALL)),
}


@pytest.fixture(scope="module")
def tokenizer():
    """Any will do: KerasHub's backbones do not look at it."""
    text = ["It is the state of the Union, and the Union is in a good state."] * 20
    return tokenizers.load(train(text, config.Tokenizer(vocabulary_size=280)))


@pytest.mark.parametrize("case", CASES)
def test_backbone_computes_the_same(case, tokenizer, tmp_path):
    """Random weights: hidden states and logits within 1e-5, and as many parameters."""
    name, settings = CASES[case]
    model = models.build_model(settings, vocabulary_size=VOCABULARY, sequence_length=LENGTH)
    for weight in model.weights:  # KerasHub rounds Mistral's to float16
        weight.assign(RANDOM.normal(0.0, 0.3, weight.shape).astype("float16"))
    folder = interop.export_folder(model, tokenizer, tmp_path / case, config.Generation())
    backbone = getattr(keras_hub.models, name).from_preset(str(folder))
    inputs = {"token_ids": TOKENS, "padding_mask": np.ones_like(TOKENS)}
    if case == "bert":
        inputs["segment_ids"] = np.zeros_like(TOKENS)
    expected = backbone(inputs)
    if case == "bert":
        expected = expected["sequence_output"]
        model = _with_tanh(model)
    hidden = model.hidden_states({"tokens": TOKENS})
    _assert_close(hidden, expected)
    embedding = backbone.token_embedding
    matrix = embedding.embeddings if settings.tie_embeddings else embedding.reverse_embeddings
    theirs = tf.matmul(expected, matrix, transpose_b=settings.tie_embeddings)
    if case != "bert":  # whose head KerasHub keeps elsewhere, and does not load
        _assert_close(model.logits(hidden), theirs)
    assert model.count_params() - _own(model) == backbone.count_params() - _theirs(backbone, case)


def _with_tanh(model):
    """Its twin with the GELU that KerasHub's BERT has, whatever the file says."""
    settings = model.settings.model_copy(update={"activation": "gelu_tanh"})
    twin = models.build_model(settings, vocabulary_size=VOCABULARY, sequence_length=LENGTH)
    twin.set_weights(model.get_weights())
    return twin


def _assert_close(ours, theirs):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def _own(model):
    """Parameters of the head for masked tokens."""
    return sum(int(np.prod(w.shape)) for w in model.weights if "/head/" in w.path)


def _theirs(backbone, case):
    """Parameters of the pooler."""
    return backbone.get_layer("pooled_dense").count_params() if case == "bert" else 0
