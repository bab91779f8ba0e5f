"""A model is the chain of its parts, wherever it is cut."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.models import chain

RANDOM = np.random.default_rng(7)
INPUTS = {
    "tokens": tf.constant(RANDOM.integers(0, 30, [2, 6]).astype("int32")),
    "segments": tf.constant([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]]),
    "source": tf.constant(RANDOM.integers(0, 30, [2, 5]).astype("int32")),
}
KEY = tf.constant([[3, 0], [3, 1]])
KINDS = {
    "causal_lm": {"positions": "relative"},
    "encoder_decoder": {"num_encoder_layers": 1, "experts": {"num_experts": 2}},
    "masked_lm": {"num_token_types": 2},
}


@pytest.fixture(params=KINDS)
def model(request):
    settings = {"num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16, "num_query_heads": 2}
    settings |= {"kind": request.param, "dropout": 0.3, **KINDS[request.param]}
    return models.build_model(
        config.Model(**settings), vocabulary_size=30, sequence_length=6, seed=1
    )


def inputs_of(model):
    names = ["tokens", "segments"] + ["source"] * (model.kind == "encoder_decoder")
    return {name: INPUTS[name] for name in names}


def test_parts_run_alone_give_what_the_model_gives(model):
    """Each part but for what the one before it made knows the batch and the dropout key alone."""
    inputs = inputs_of(model)
    whole = model.forward(inputs, KEY)
    carry = {}
    for part in model.chain():
        carry = chain.run([part], carry, inputs, KEY)
    np.testing.assert_array_equal(carry["x"], whole.hidden)
    np.testing.assert_allclose(carry["router"], whole.router, rtol=1e-6)
    assert np.any(whole.router) == (model.kind == "encoder_decoder")


def test_every_variable_is_in_a_part(model):
    parts = model.chain()
    read = {id(variable) for part in parts for variable in chain.variables(part)}
    assert read == {id(variable) for variable in model.variables}
    assert len({part.name for part in parts}) == len(parts)
    last = {id(variable) for variable in chain.variables(parts[-1])}
    assert last.issuperset(id(variable) for variable in model.head_variables)
