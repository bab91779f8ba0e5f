"""An exported encoder-decoder beside the network and the tokenizer themselves."""

import json

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.export import export_saved_model, warmup
from llm_keras.generation import generate_text

CONTEXT = 24
SOURCES = ["Fellow-Citizens", "", "\u00e9\u6f22 and", "It is"]
SETTINGS = config.Generation(max_new_tokens=8, num_beams=4, length_penalty=0.6)


@pytest.fixture(scope="module")
def network(tokenizer):
    """One block on each side, learned positions: none after the context's last."""
    shape = config.Model(
        kind="encoder_decoder", num_layers=1, hidden_dim=32, intermediate_dim=64,
        num_query_heads=4, positions="learned", initializer_range=0.3,
    )  # fmt: skip
    return models.build_model(
        shape, vocabulary_size=tokenizer.vocabulary_size, sequence_length=CONTEXT
    )


@pytest.fixture(scope="module")
def exported(network, tokenizer_model, tmp_path_factory):
    """The folder of version 1."""
    return export_saved_model(network, tokenizer_model, tmp_path_factory.mktemp("export"), SETTINGS)


@pytest.fixture(scope="module")
def loaded(exported):
    """The SavedModel, as TensorFlow loads it."""
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="module")
def call(call_export, loaded):
    """Calls a signature with lists."""
    return call_export(loaded)


def test_signatures_and_metadata(exported, loaded):
    """Names; each has a warm-up request; the metadata says which kind it is."""
    names = {"serving_default", "translate", "score", "tokenize", "detokenize"}
    assert set(loaded.signatures) == names == set(warmup.requests("encoder_decoder", CONTEXT))
    about = json.loads((exported / "assets.extra" / "llm_keras.json").read_text())
    assert about["model"]["kind"] == "encoder_decoder"
    assert about["generation"]["num_beams"] == 4


def test_warm_up_requests_are_answered(loaded):
    """Every record runs: a server would load it."""
    for name, inputs in warmup.requests("encoder_decoder", CONTEXT).items():
        outputs = loaded.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        assert all(len(value) == 1 for value in outputs.values())


@pytest.mark.parametrize("signature", ["serving_default", "translate"])
def test_translations_are_those_of_the_network(call, network, tokenizer, signature):
    """Beam search in the SavedModel finds what it finds in this process; all rows differ."""
    found = call(signature, text=SOURCES)
    expected = generate_text(network, tokenizer, SOURCES, SETTINGS)
    assert set(found) == {"text", "finish_reason", "prompt_tokens", "completion_tokens"}
    assert [text.decode() for text in found["text"]] == [row.text for row in expected]
    assert found["completion_tokens"].tolist() == [row.completion_tokens for row in expected]
    assert found["prompt_tokens"].tolist() == [len(tokenizer.encode(s)) + 1 for s in SOURCES]
    assert [reason.decode() for reason in found["finish_reason"]] == [
        row.finish_reason for row in expected
    ]
    assert len(set(found["text"])) == len(SOURCES)


def test_a_row_is_translated_the_same_alone_and_among_others(call):
    """Other rows' lengths and ends change nothing."""
    together = call("translate", text=SOURCES)["text"]
    assert [call("translate", text=[source])["text"][0] for source in SOURCES] == list(together)


def test_score_is_the_log_softmax_of_the_model(call, network, tokenizer):
    """Each token of the target and eos, given the whole source and what stands before it."""
    targets = ["\u6f22 of", "Fellow-Citizens of the Senate", "", "a"]
    found = call("score", source=SOURCES, target=targets)
    for row, (source, target) in enumerate(zip(SOURCES, targets, strict=True)):
        ids = [*tokenizer.encode(target), tokenizer.eos_id]
        count = len(ids)
        inputs = {
            "source": np.array([[*tokenizer.encode(source), tokenizer.eos_id]], "int32"),
            "tokens": np.array([[tokenizer.bos_id, *ids[:-1]]], "int32"),
        }
        logits = network(inputs).numpy()[0].astype("float64")
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = logits[np.arange(count), ids]
        assert found["tokens"][row, :count].tolist() == ids
        assert found["count"][row] == count
        np.testing.assert_allclose(found["log_probabilities"][row, :count], expected, atol=1e-5)
        np.testing.assert_allclose(found["sum"][row], expected.sum(), atol=1e-4)
        assert not found["log_probabilities"][row, count:].any()


def test_no_rows_give_no_rows(call):
    """A batch of nothing, for every signature with text."""
    empty = np.empty([0], object)
    outputs = [call(name, text=empty) for name in ("serving_default", "translate", "tokenize")]
    outputs.append(call("score", source=empty, target=empty))
    assert all(len(value) == 0 for output in outputs for value in output.values())


def test_refuses_texts_longer_than_the_context(call, message):
    """Source and target of the context's length are accepted, eos included; one more is not."""
    fits, too_long = "\0" * (CONTEXT - 1), "\0" * CONTEXT
    cases = [
        ("translate", "text", {"text": [fits]}, {"text": ["a", too_long]}),
        ("score", "source", {"source": [fits], "target": [fits]},
         {"source": ["a", too_long], "target": ["a", "a"]}),
        ("score", "target", {"source": ["a"], "target": [fits]},
         {"source": ["a", "a"], "target": ["a", too_long]}),
    ]  # fmt: skip
    for signature, name, good, bad in cases:
        assert len(call(signature, **good))
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            call(signature, **bad)
        assert message(error) == (
            f"row 1: the {name} has 25 tokens, special ones included; there is room for 24:"
            " shorten it"
        )
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        call("score", source=["a", "b"], target=["a"])
    assert message(error) == "target has 1 rows, but source has 2"


def test_sampling_where_the_run_has_one_beam(network, tokenizer, tokenizer_model, tmp_path):
    """`num_beams: 1` draws by the run's settings and seed 0."""
    settings = config.Generation(max_new_tokens=8, temperature=1.3, top_p=0.9, min_p=0.01)
    folder = export_saved_model(network, tokenizer_model, tmp_path, settings)
    translate = tf.saved_model.load(str(folder)).signatures["translate"]
    found = translate(text=tf.constant(SOURCES))["text"].numpy()
    expected = generate_text(network, tokenizer, SOURCES, settings)
    assert [text.decode() for text in found] == [row.text for row in expected]
