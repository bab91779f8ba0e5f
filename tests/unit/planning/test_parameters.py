"""Parameter counts against published figures and against the models that Keras builds."""

import random

import pytest

from llm_keras import config, models
from llm_keras.planning import parameter_counts

#: Model, vocabulary, context, published number of parameters.
PUBLISHED = {
    "GPT-2 124M": (
        {"num_layers": 12, "hidden_dim": 768, "intermediate_dim": 3072, "num_query_heads": 12,
         "positions": "learned", "activation": "gelu_tanh", "normalization": "layer_norm",
         "use_bias": True},
        50_257, 1024, 124_439_808,
    ),
    "Llama 3.2 1B": (
        {"num_layers": 16, "hidden_dim": 2048, "intermediate_dim": 8192, "num_query_heads": 32,
         "num_key_value_heads": 8},
        128_256, 131_072, 1_235_814_400,
    ),
    "SmolLM2-135M": (
        {"num_layers": 30, "hidden_dim": 576, "intermediate_dim": 1536, "num_query_heads": 9,
         "num_key_value_heads": 3},
        49_152, 8192, 134_515_008,
    ),
    "Llama 2 7B": (
        {"num_layers": 32, "hidden_dim": 4096, "intermediate_dim": 11_008, "num_query_heads": 32,
         "tie_embeddings": False},
        32_000, 4096, 6_738_415_616,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models(name):
    """The numbers that their authors give."""
    shape, vocabulary_size, sequence_length, published = PUBLISHED[name]
    counts = parameter_counts(config.Model(**shape), vocabulary_size, sequence_length)
    assert sum(counts.values()) == published


def test_gpt2_as_keras_builds_it():
    """The model itself, not only its plan, has GPT-2's 124,439,808 weights."""
    shape, vocabulary_size, sequence_length, published = PUBLISHED["GPT-2 124M"]
    model = models.CausalLM(config.Model(**shape), vocabulary_size, sequence_length)
    with _no_values():
        model.build()
    assert model.count_params() == published


def _no_values():
    """Lets a large model be built without room or time for its values."""
    import keras

    return keras.StatelessScope()


def _random_shape(draw):
    heads = draw.choice([1, 2, 4])
    return config.Model(
        num_layers=draw.choice([1, 2, 3]),
        hidden_dim=8 * heads,
        intermediate_dim=draw.choice([8, 20]),
        num_query_heads=heads,
        num_key_value_heads=draw.choice([None, 1]),
        head_dim=draw.choice([None, 6]),
        positions=draw.choice(["rotary", "learned", "sinusoidal"]),
        activation=draw.choice(["swiglu", "gelu", "relu"]),
        normalization=draw.choice(["rms_norm", "layer_norm"]),
        norm_placement=draw.choice(["pre", "post"]),
        use_bias=draw.choice([True, False]),
        tie_embeddings=draw.choice([True, False]),
    )


@pytest.mark.parametrize("seed", range(8))
def test_plan_equals_the_built_model_part_by_part(seed):
    """Random shapes: every part of the plan is the sum of that part's variables."""
    shape = _random_shape(random.Random(seed))
    model = models.build_causal_lm(shape, vocabulary_size=30, sequence_length=10)
    built = dict.fromkeys(parameter_counts(shape, 30, 10), 0)
    for weight in model.weights:
        built[_part(weight.path)] += weight.value.shape.num_elements()
    assert built == parameter_counts(shape, 30, 10)


def _part(path):
    if "norm" in path:
        return "norms"
    top = path.split("/")[1]
    if top.startswith("block_"):
        return path.split("/")[2]
    return {"embedding": "token_embedding"}.get(top, top)
