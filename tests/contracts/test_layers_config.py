"""Every layer and model of the package survives `get_config` -> `from_config` with all arguments.

The classes are found by looking through the package. A new one fails here until it has an entry in
`EXAMPLES`, with every argument of its own constructor set to something else than its default.
"""

import importlib
import inspect
import json
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import llm_keras
from llm_keras import config, layers, models
from llm_keras.layers.masks import causal_mask

X = np.random.default_rng(0).normal(size=[2, 4, 8]).astype("float32")
TOKENS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], "int32")
CONTEXT = {"mask": causal_mask(4)}
MEMORY = {"memory": X, "memory_mask": np.zeros([1, 1, 1, 4], "float32")}
KEY = tf.constant([[3, 0], [3, 1]])
ATTENTION = {
    "num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 2, "biases": "all",
    "causal": False, "window": 2, "qk_norm": True, "norm_epsilon": 0.1, "scale": 0.4,
    "logit_cap": 3.0, "rope_pairing": "neighbours", "block_length": 2,
}  # fmt: skip
BLOCK = {
    "attention": ATTENTION,
    "feed_forward": {"intermediate_dim": 12, "activation": "gelu"},
    "normalization": "layer_norm", "normalization_epsilon": 0.1, "norm_placement": "post",
    "dropout": 0.5,
}  # fmt: skip
MODEL = config.Model(
    num_layers=1, hidden_dim=8, intermediate_dim=12, num_query_heads=4, num_key_value_heads=2,
    head_dim=4, positions="learned", rope_max_wavelength=500.0, activation="gelu",
    normalization="layer_norm", normalization_epsilon=0.1, norm_placement="post", use_bias=True,
    tie_embeddings=False, dropout=0.5, initializer_range=0.5, attention_block_length=2,
)  # fmt: skip
SCALING = {
    "kind": "llama3", "factor": 4.0, "low_frequency_factor": 1.0, "high_frequency_factor": 4.0,
    "original_sequence_length": 64,
}  # fmt: skip
EMBEDDING = layers.TokenEmbedding(9, 8)
EMBEDDING.build()
#: Bases, of which nobody makes an object.
BASES = {"ResidualBlock", "Transformer"}
#: Class -> (arguments, shape to build with, call arguments by place or by name).
EXAMPLES = {
    layers.AlibiPositions: ({"num_heads": 3}, (4,), {"length": 4}),
    layers.Attention: (ATTENTION, X.shape, (X, CONTEXT)),
    layers.CrossAttention: (ATTENTION, X.shape, (X, MEMORY)),
    layers.DecoderBlock: (
        {**BLOCK, "cross_attention": True}, X.shape, (X, CONTEXT | MEMORY, KEY),
    ),
    layers.EncoderBlock: (BLOCK, X.shape, (X, CONTEXT, KEY)),
    layers.FeedForward: (
        {"intermediate_dim": 12, "activation": "relu", "use_bias": True}, X.shape, (X,),
    ),
    layers.KeyedDropout: ({"rate": 0.5, "salt": 7}, X.shape, (X, KEY)),
    layers.LayerNorm: ({"epsilon": 0.5}, X.shape, (X,)),
    layers.LearnedPositions: (
        {"sequence_length": 4, "embeddings_initializer": "he_normal"},
        X.shape, (X, np.array([0, 1, 2, 3])),
    ),
    layers.Linear: (
        {"units": 3, "dimensions": ("hidden", "feed_forward"), "use_bias": True,
         "kernel_initializer": "he_normal"},
        X.shape, (X,),
    ),
    layers.MaskedLMHead: (
        {"vocabulary_size": 9, "normalization": "rms_norm", "normalization_epsilon": 0.1},
        X.shape, {"x": X, "embedding": EMBEDDING},
    ),
    layers.MixtureOfExperts: (
        {"num_experts": 3, "experts_per_token": 2, "intermediate_dim": 12, "activation": "relu",
         "use_bias": True, "capacity_factor": 0.5},
        X.shape, (X,),
    ),
    layers.RelativePositions: (
        {"num_heads": 2, "causal": True, "num_buckets": 8, "max_distance": 16}, None, {"length": 4},
    ),
    layers.RMSNorm: ({"epsilon": 0.5}, X.shape, (X,)),
    layers.RotaryPositions: (
        {"head_dim": 4, "max_wavelength": 500.0, "pairing": "neighbours", "scaling": SCALING},
        (4,), (np.array([0, 1, 2, 3]),),
    ),
    layers.SinusoidalPositions: (
        {"max_wavelength": 500.0, "pairing": "halves"}, X.shape, (X, np.array([0, 1, 2, 3])),
    ),
    layers.TokenEmbedding: (
        {"vocabulary_size": 9, "hidden_dim": 8, "scale": 2.0,
         "embeddings_initializer": "he_normal"},
        None, (TOKENS,),
    ),
    layers.TokenTypes: ({"num_types": 2}, X.shape, (X, np.array([[0, 1, 0, 1]] * 2))),
    models.CausalLM: (
        {"settings": MODEL, "vocabulary_size": 9, "sequence_length": 4, "seed": 3,
         "name": "other"},
        None, ({"tokens": TOKENS}, KEY),
    ),
    models.EncoderDecoder: (
        {"settings": MODEL.model_copy(update={"kind": "encoder_decoder"}), "vocabulary_size": 9,
         "sequence_length": 4, "seed": 3, "name": "other"},
        None, ({"tokens": TOKENS, "source": TOKENS}, KEY),
    ),
    models.MaskedLM: (
        {"settings": MODEL.model_copy(update={"kind": "masked_lm", "tie_embeddings": True}),
         "vocabulary_size": 9, "sequence_length": 4, "seed": 3, "name": "other"},
        None, ({"tokens": TOKENS}, KEY),
    ),
}  # fmt: skip


def _classes():
    """Every layer and model that the package defines."""
    found = set()
    for module in pkgutil.walk_packages(llm_keras.__path__, "llm_keras."):
        if not module.name.endswith("__main__"):
            members = vars(importlib.import_module(module.name)).values()
            found |= {
                member
                for member in members
                if inspect.isclass(member)
                and issubclass(member, keras.layers.Layer)
                and member.__module__.startswith("llm_keras.")
            }
    return sorted(found, key=lambda found: found.__name__)


#: Has a model as its argument, and a contract test of its own beside its unit tests.
ELSEWHERE = {"Trainer"}


def test_every_class_has_an_example():
    """The table is complete, and the search does find classes."""
    found = {layer for layer in _classes() if layer.__name__ not in ELSEWHERE | BASES}
    assert layers.DecoderBlock in found
    assert found == set(EXAMPLES)


@pytest.mark.parametrize("layer_class", EXAMPLES, ids=lambda layer: layer.__name__)
def test_every_argument_is_set_off_its_default(layer_class):
    """An argument that the example leaves out would not be tested."""
    arguments = EXAMPLES[layer_class][0]
    if not layer_class.__init__.__module__.startswith("llm_keras."):
        return  # Keras's own constructor.
    for name, parameter in inspect.signature(layer_class.__init__).parameters.items():
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            assert name in arguments, f"{name} is missing in EXAMPLES"
            assert arguments[name] != parameter.default, f"{name} has its default in EXAMPLES"


@pytest.mark.parametrize("layer_class", EXAMPLES, ids=lambda layer: layer.__name__)
def test_config_gives_the_layer_back(layer_class):
    """Through JSON and Keras's registry: the same configuration and, with its weights, results."""
    arguments, shape, call = EXAMPLES[layer_class]
    layer = layer_class(**arguments, dtype="mixed_bfloat16")
    layer.build(shape)
    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(stored)
    assert type(again) is layer_class
    if not again.built:
        again.build(shape)
    assert [weight.path for weight in again.weights] == [weight.path for weight in layer.weights]
    again.set_weights(layer.get_weights())
    assert again.get_config() == layer.get_config()
    assert again.get_config()["dtype"]["config"]["name"] == "mixed_bfloat16"
    for ours, theirs in zip(_tensors(layer, call), _tensors(again, call), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _tensors(layer, call):
    results = layer(**call) if isinstance(call, dict) else layer(*call)
    return [np.asarray(part, "float32") for part in tf.nest.flatten(results)]
