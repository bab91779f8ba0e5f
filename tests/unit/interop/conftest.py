"""A small model of each kind that has a form elsewhere, and a tokenizer."""

import numpy as np
import pytest

from llm_keras import config, models, tokenizers
from llm_keras.config import presets
from llm_keras.tokenizers.training import train

SMALL = {"num_layers": 2, "hidden_dim": 32, "intermediate_dim": 64, "num_query_heads": 4}
LLAMA = {**SMALL, "num_key_value_heads": 2}
VOCABULARY, LENGTH = 290, 16

SETTINGS = {
    "llama": config.Model(**LLAMA),
    "llama-untied": config.Model(**LLAMA, tie_embeddings=False),
    "llama-biases": config.Model(**LLAMA, use_bias=True, attention_bias="all"),
    "llama-long": config.Model(**LLAMA, rope_scaling={"kind": "linear", "factor": 4.0}),
    "llama-3.1": config.Model(**LLAMA, head_dim=16, rope_scaling={"kind": "llama3"}),
    "qwen2": config.Model(**LLAMA, attention_bias="query_key_value", activation="geglu_tanh"),
    "qwen3": config.Model(**LLAMA, qk_norm=True, head_dim=16),
    "mistral": config.Model(**LLAMA, sliding_window=5),
    "mixtral": config.Model(**LLAMA, experts={"num_experts": 3, "experts_per_token": 2}),
    "gpt2": presets.model("gpt2_124m", **SMALL),
    "gpt2-relu": presets.model("gpt2_124m", **SMALL, activation="relu", tie_embeddings=False),
    "bert": presets.model("bert_base", **SMALL),
}


@pytest.fixture(scope="session")
def tokenizer():
    """Trained on a sentence; smaller than the models' vocabulary."""
    text = ["It is the state of the Union, and the Union is in a good state."] * 20
    return tokenizers.load(train(text, config.Tokenizer(vocabulary_size=280)))


@pytest.fixture
def build():
    """Makes the model of a case with random weights, biases and gains too."""

    def make(case):
        random = np.random.default_rng(3)
        model = models.build_model(
            SETTINGS[case], vocabulary_size=VOCABULARY, sequence_length=LENGTH
        )
        for weight in model.weights:
            weight.assign(random.normal(0.2, 0.3, weight.shape))
        return model

    return make


@pytest.fixture(params=list(SETTINGS))
def model(request, build):
    """One after the other."""
    return build(request.param)
