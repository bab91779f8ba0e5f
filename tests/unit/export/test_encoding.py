"""An exported masked language model beside the network and the tokenizer themselves."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.export import export_saved_model, warmup

CONTEXT = 24
TEXTS = ["Fellow-Citizens", "", "\u00e9\u6f22 and \U0001f600", "It is"]


@pytest.fixture(scope="module")
def network(tokenizer):
    """One block, learned positions: none after the context's last."""
    shape = config.Model(
        kind="masked_lm", num_layers=1, hidden_dim=32, intermediate_dim=64, num_query_heads=4,
        positions="learned", initializer_range=0.3,
    )  # fmt: skip
    return models.build_model(
        shape, vocabulary_size=tokenizer.vocabulary_size, sequence_length=CONTEXT
    )


@pytest.fixture(scope="module")
def loaded(network, tokenizer_model, tmp_path_factory):
    """The SavedModel, as TensorFlow loads it."""
    folder = tmp_path_factory.mktemp("export")
    version = export_saved_model(network, tokenizer_model, folder, config.Generation())
    return tf.saved_model.load(str(version))


@pytest.fixture(scope="module")
def call(call_export, loaded):
    """Calls a signature with lists."""
    return call_export(loaded)


def test_signatures_and_their_warm_up_requests(loaded):
    """Names, and every recorded request runs."""
    requests = warmup.requests("masked_lm", CONTEXT)
    names = {"serving_default", "encode", "tokenize", "detokenize"}
    assert set(loaded.signatures) == names == set(requests)
    for name, inputs in requests.items():
        outputs = loaded.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        assert all(len(value) == 1 for value in outputs.values())


@pytest.mark.parametrize("signature", ["serving_default", "encode"])
def test_vectors_are_the_mean_of_the_hidden_states(call, network, tokenizer, signature):
    """Of each text alone, bos and eos included, at unit length, in NumPy; filling is left out."""
    found = call(signature, text=TEXTS)
    assert list(found) == ["vectors"]
    for vector, text in zip(found["vectors"], TEXTS, strict=True):
        ids = [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
        hidden = network.hidden_states({"tokens": np.array([ids], "int32")}).numpy()[0]
        mean = hidden.astype("float64").mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    cosines = found["vectors"] @ found["vectors"].T
    assert np.abs(cosines[~np.eye(4, dtype=bool)]).max() < 0.99


def test_no_rows_give_no_rows(call):
    """A batch of nothing has no vectors, of the width that others have."""
    assert call("encode", text=np.empty([0], object))["vectors"].shape == (0, 32)


def test_refuses_a_text_longer_than_the_context(call, message):
    """Bos and eos fit too; one token more is refused with both lengths."""
    assert len(call("encode", text=["\0" * (CONTEXT - 2)])["vectors"]) == 1
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        call("encode", text=["a", "\0" * (CONTEXT - 1)])
    assert message(error) == (
        "row 1: the text has 25 tokens, special ones included; there is room for 24: shorten it"
    )
