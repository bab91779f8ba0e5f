"""The same weights in KerasHub's backbones and in ours give the same hidden states and logits."""

import os

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models

os.environ["KERAS_BACKEND"] = "tensorflow"
keras_hub = pytest.importorskip("keras_hub")

# NumPy 2 and TensorFlow's arrays; nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RANDOM = np.random.default_rng(8)
TOKENS = RANDOM.integers(0, 60, [2, 12]).astype("int32")
COMMON = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 40}

#: Ours within a block -> KerasHub's. Heads are axes of their own there; here they lie in one axis.
LLAMA_BLOCK = {
    "attention_norm/scale": "self_attention_layernorm/scale",
    "attention/query/kernel": "self_attention/query/kernel",
    "attention/key/kernel": "self_attention/key/kernel",
    "attention/value/kernel": "self_attention/value/kernel",
    "attention/output/kernel": "self_attention/attention_output/kernel",
    "feed_forward_norm/scale": "feedforward_layernorm/scale",
    "feed_forward/gate/kernel": "feedforward_gate_dense/kernel",
    "feed_forward/up/kernel": "feedforward_intermediate_dense/kernel",
    "feed_forward/down/kernel": "feedforward_output_dense/kernel",
}
LLAMA = {
    "embedding/embeddings": "token_embedding/embeddings",
    "final_norm/scale": "sequence_output_layernorm/scale",
}
GPT2_BLOCK = {
    f"{ours}/{part}": f"{theirs}/{part}"
    for ours, theirs, parts in (
        ("attention_norm", "self_attention_layer_norm", ("gamma", "beta")),
        ("attention/query", "self_attention/query", ("kernel", "bias")),
        ("attention/key", "self_attention/key", ("kernel", "bias")),
        ("attention/value", "self_attention/value", ("kernel", "bias")),
        ("attention/output", "self_attention/attention_output", ("kernel", "bias")),
        ("feed_forward_norm", "feedforward_layer_norm", ("gamma", "beta")),
        ("feed_forward/up", "feedforward_intermediate_dense", ("kernel", "bias")),
        ("feed_forward/down", "feedforward_output_dense", ("kernel", "bias")),
    )
    for part in parts
}
GPT2 = {
    "embedding/embeddings": "token_embedding/embeddings",
    "positions/embeddings": "position_embedding/embeddings",
    "final_norm/gamma": "layer_norm/gamma",
    "final_norm/beta": "layer_norm/beta",
}


def _randomize(backbone):
    for weight in backbone.weights:
        weight.assign(RANDOM.normal(scale=0.4, size=weight.shape).astype("float32"))


def _copy(backbone, model, names, block_names):
    """Sets each weight of ours from KerasHub's; every weight of ours must have a name there."""
    theirs = {weight.path: weight.numpy() for weight in backbone.weights}
    for weight in model.weights:
        path = weight.path.removeprefix("causal_lm/")
        if path.startswith("block_"):
            block, _, inner = path.partition("/")
            source = f"transformer_layer_{block.removeprefix('block_')}/{block_names[inner]}"
        else:
            source = names[path]
        weight.assign(theirs[source].reshape(weight.shape))


def _assert_equal(backbone, model):
    expected = backbone({"token_ids": TOKENS, "padding_mask": np.ones_like(TOKENS)})
    hidden = model.hidden_states({"tokens": TOKENS})
    _assert_close(hidden, expected)
    table = backbone.token_embedding.embeddings
    _assert_close(model.logits(hidden), tf.matmul(expected, table, transpose_b=True))


def _assert_close(ours, theirs):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def test_gpt2():
    """Learned positions, LayerNorm, GELU by tanh, biases."""
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=60, num_heads=4, max_sequence_length=16, dropout=0.0, **COMMON
    )
    shape = config.Model(
        num_query_heads=4, positions="learned", normalization="layer_norm", use_bias=True,
        activation="gelu_tanh", normalization_epsilon=1e-5, **COMMON,
    )  # fmt: skip
    model = models.build_model(shape, vocabulary_size=60, sequence_length=16)
    _randomize(backbone)
    _copy(backbone, model, GPT2, GPT2_BLOCK)
    _assert_equal(backbone, model)


@pytest.mark.parametrize("shared", [1, 2, 4])
def test_llama(shared):
    """Rotary positions with another base, grouped heads, RMSNorm, SwiGLU."""
    backbone = keras_hub.models.LlamaBackbone(
        vocabulary_size=60, num_query_heads=4, num_key_value_heads=shared,
        rope_max_wavelength=500.0, layer_norm_epsilon=1e-6, tie_word_embeddings=True, **COMMON,
    )  # fmt: skip
    shape = config.Model(
        num_query_heads=4, num_key_value_heads=shared, rope_max_wavelength=500.0,
        normalization_epsilon=1e-6, **COMMON,
    )  # fmt: skip
    model = models.build_model(shape, vocabulary_size=60, sequence_length=16)
    _randomize(backbone)
    _copy(backbone, model, LLAMA, LLAMA_BLOCK)
    _assert_equal(backbone, model)
