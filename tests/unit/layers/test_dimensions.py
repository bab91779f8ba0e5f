"""Every variable says what its axes are."""

import keras
import pytest

from llm_keras import config, models
from llm_keras.layers.dimensions import DIMENSIONS, dimensions_of, name_dimensions


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positions": "learned", "tie_embeddings": False, "use_bias": True},
        {"normalization": "layer_norm", "norm_placement": "post", "activation": "relu"},
        {"kind": "encoder_decoder", "positions": "relative", "qk_norm": True},
        {"kind": "masked_lm", "num_token_types": 2, "experts": {"num_experts": 3}},
    ],
)
def test_every_variable_of_a_model_names_its_dimensions(changes):
    """The sizes agree with the names: one name has one size in all variables."""
    shape = config.Model(
        num_layers=1, hidden_dim=24, intermediate_dim=40, num_query_heads=4, head_dim=8,
        num_key_value_heads=2, **changes,
    )  # fmt: skip
    model = models.build_model(shape, vocabulary_size=100, sequence_length=16)
    sizes = {"vocabulary": 100, "positions": 16, "hidden": 24, "feed_forward": 40}
    sizes |= {"query_heads": 32, "key_value_heads": 16, "heads": 4, "head": 8}
    sizes |= {"buckets": 32, "token_types": 2, "experts": 3, "rank": 5}
    assert set(sizes) == DIMENSIONS
    block = (model.encoder_blocks if hasattr(model, "encoder_blocks") else model.blocks)[0]
    block.attention.query.enable_lora(rank=5, alpha=1.0)
    assert any("rank" in dimensions_of(variable) for variable in model.weights)
    for variable in model.weights:
        named = [sizes[name] for name in dimensions_of(variable)]
        assert named == list(variable.shape), variable.path


def test_wrong_names_are_refused():
    """The error gives the shape and the names in use."""
    variable = keras.Variable([[0.0, 1.0]], name="kernel")
    with pytest.raises(ValueError, match=r"shape \(1, 2\).*'hidden'.*got \('hidden',\)"):
        name_dimensions(variable, "hidden")
    with pytest.raises(ValueError, match=r"got \('hidden', 'nonsense'\)"):
        name_dimensions(variable, "hidden", "nonsense")


def test_a_variable_without_names_is_an_error():
    """A layer that forgets to name its variable must be seen, not replicated silently."""
    with pytest.raises(ValueError, match="names no dimensions"):
        dimensions_of(keras.Variable([0.0], name="forgotten"))
