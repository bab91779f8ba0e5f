"""Parameter counts against the models that Keras builds."""

import random
from collections import Counter

import keras
import pytest

from llm_keras import config, models
from llm_keras.accounting.parameters import parameter_counts
from llm_keras.accounting.weights import PARTS, weights


def test_gpt2_as_keras_builds_it():
    """The model itself, not only its plan, has GPT-2's 124,439,808 weights."""
    shape, size = config.presets.model("gpt2_124m"), config.presets.PUBLISHED["gpt2_124m"]
    model = models.CausalLM(shape, *size)
    with keras.StatelessScope():  # neither room nor time for the values
        model.build()
    assert model.count_params() == 124_439_808


def _random_shape(kind, draw):
    heads = draw.choice([1, 2, 4])
    experts = {"num_experts": 3, "experts_per_token": 2}
    options = {
        "kind": kind,
        "num_layers": draw.choice([1, 2, 3]),
        "hidden_dim": 8 * heads,
        "intermediate_dim": draw.choice([8, 20]),
        "num_query_heads": heads,
        "num_key_value_heads": draw.choice([None, 1]),
        "head_dim": draw.choice([None, 6]),
        "positions": draw.choice(
            ["rotary", "learned", "sinusoidal", "alibi", "relative", "relative", "none"]
        ),
        "activation": draw.choice(["swiglu", "geglu", "gelu", "relu"]),
        "experts": draw.choice([None, experts]),
        "normalization": draw.choice(["rms_norm", "layer_norm"]),
        "norm_placement": draw.choice(["pre", "post"]),
        "final_norm": draw.choice([None, True, False]),
        "use_bias": draw.choice([True, False]),
        "attention_bias": draw.choice([None, "all", "query_key_value", "none"]),
        "qk_norm": draw.choice([True, False]),
    }
    if kind == "encoder_decoder":
        options["num_encoder_layers"] = draw.choice([None, 1, 4])
        options["share_embeddings"] = draw.choice([True, False])
    else:
        options["embedding_norm"] = draw.choice([True, False])
    if kind == "masked_lm":
        options["num_token_types"] = draw.choice([0, 2])
    else:
        options["tie_embeddings"] = draw.choice([True, False])
    return config.Model(**options)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["causal_lm", "encoder_decoder", "masked_lm"])
def test_plan_equals_the_built_model_variable_by_variable(kind, seed):
    """Random shapes of all options: the plan's table lists exactly the variables that exist."""
    shape = _random_shape(kind, random.Random(f"{kind} {seed}"))
    model = models.build_model(shape, vocabulary_size=30, sequence_length=10)
    built = Counter(
        (_part(weight.path, model.name), tuple(weight.shape)) for weight in model.weights
    )
    planned = Counter()
    for each in weights(shape, 30, 10):
        planned[each.part, each.shape] += each.copies
    assert built == planned
    assert sum(parameter_counts(shape, 30, 10).values()) == model.count_params()


def _part(path, name):
    top, *inner = path.removeprefix(f"{name}/").split("/")
    if "block_" in top:
        top = inner[0]
        if "norm" in "/".join(inner):
            return "norms"
        return "router" if "router" in inner else top
    if "positions" in top or top in PARTS:
        return top.removeprefix("encoder_").removeprefix("decoder_")
    return "norms" if "norm" in top else "token_embedding"
