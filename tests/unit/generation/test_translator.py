"""Answers of an encoder-decoder against the model called without a cache."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.errors import UserError
from llm_keras.generation import Translator, generate_text, writer
from llm_keras.generation.text import same_for_all

CONTEXT = 24
SOURCES = ["Fellow-Citizens of the Senate", "", "It is", "\u00e9\u6f22 "]
BEAMS = config.Generation(max_new_tokens=10, num_beams=4, length_penalty=0.6)
SAMPLED = config.Generation(max_new_tokens=10, temperature=1.2, top_k=40, top_p=0.9, min_p=0.01)


@pytest.fixture(scope="module")
def network(tokenizer):
    """Vaswani's form in small, with large random weights."""
    shape = config.Model(
        kind="encoder_decoder", num_layers=1, hidden_dim=32, intermediate_dim=64,
        num_query_heads=4, positions="sinusoidal", norm_placement="post", initializer_range=0.3,
    )  # fmt: skip
    return models.build_model(
        shape, vocabulary_size=tokenizer.vocabulary_size, sequence_length=CONTEXT
    )


@pytest.fixture(scope="module")
def translator(network, tokenizer):
    """The network with its tokenizer."""
    return Translator(network, tokenizer)


@pytest.fixture(scope="module")
def answer_as(translator):
    """Answers as a run file says: one graph for all calls with the same settings."""
    graphs = {}

    def answer(sources, settings, seed=0):
        def graph(texts):
            return translator.answer_as(translator.encode(texts), settings, seed)

        key = (settings.model_dump_json(), seed)
        if key not in graphs:
            graphs[key] = tf.function(graph, input_signature=[tf.TensorSpec([None], tf.string)])
        return tf.nest.map_structure(np.array, graphs[key](tf.constant(sources)))

    return answer


def rows_of(found):
    """Tokens, text and reason of each row."""
    tokens = [
        row[:length].tolist()
        for row, length in zip(found.tokens, found.completion_tokens, strict=True)
    ]
    return list(zip(tokens, found.text, found.finish_reason, strict=True))


def log_probabilities(network, tokenizer, source, tokens):
    """Of every next token after bos and `tokens`, without a cache, in float64."""
    inputs = {
        "source": np.array([[*tokenizer.encode(source), tokenizer.eos_id]], "int32"),
        "tokens": np.array([[tokenizer.bos_id, *tokens]], "int32"),
    }
    logits = network(inputs).numpy()[0].astype("float64")
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def score(network, tokenizer, source, row):
    """What beam search compares, of a row's answer."""
    tokens, _, reason = row
    said = [*tokens, tokenizer.eos_id] if reason == b"stop" else tokens
    all_of_them = log_probabilities(network, tokenizer, source, tokens)
    return all_of_them[np.arange(len(said)), said].sum() / ((5 + len(said)) / 6) ** 0.6


def test_greedy_translation_equals_a_loop_without_a_cache(answer_as, network, tokenizer):
    """Each token is the best next one after bos and those before it, given the source and eos."""
    greedy = SAMPLED.model_copy(update={"temperature": 0.0})
    found = answer_as(SOURCES, greedy)
    for row, (tokens, text, reason) in enumerate(rows_of(found)):
        scores = log_probabilities(network, tokenizer, SOURCES[row], tokens)
        best = scores[:, 3:].argmax(-1) + 3
        assert best[: len(tokens)].tolist() == tokens
        assert (reason == b"stop") == (len(tokens) < 10)
        assert text.decode() == tokenizer.decode(tokens)
        assert found.prompt_tokens[row] == len(tokenizer.encode(SOURCES[row])) + 1
        expected = scores[np.arange(len(tokens)), tokens]
        given = found.log_probabilities[row, : len(tokens)]
        np.testing.assert_allclose(given, expected, atol=1e-5)
    assert len(set(found.text)) == len(SOURCES)


def test_beams_find_what_the_model_thinks_better(answer_as, network, tokenizer):
    """Reported log-probabilities are the model's; rows score as well as greedy ones or better."""
    searched = answer_as(SOURCES, BEAMS)
    greedy = answer_as(SOURCES, SAMPLED.model_copy(update={"temperature": 0.0}))
    gains = []
    for row, source in enumerate(SOURCES):
        tokens = rows_of(searched)[row][0]
        scores = log_probabilities(network, tokenizer, source, tokens)
        expected = scores[np.arange(len(tokens)), tokens]
        given = searched.log_probabilities[row, : len(tokens)]
        np.testing.assert_allclose(given, expected, atol=1e-5)
        ours, theirs = (
            score(network, tokenizer, source, rows_of(f)[row]) for f in (searched, greedy)
        )
        gains.append(ours - theirs)
    assert min(gains) > -1e-4
    assert max(gains) > 0.1


@pytest.mark.parametrize("settings", [BEAMS, SAMPLED], ids=["beams", "sampled"])
def test_a_row_is_the_same_alone_and_among_others(answer_as, settings):
    """Neither the lengths of other sources nor their ends change a row."""
    together = rows_of(answer_as(SOURCES, settings))
    for row, source in enumerate(SOURCES):
        assert rows_of(answer_as([source], settings)) == [together[row]]


def test_each_row_draws_by_its_own_seed(translator):
    """Equal sources with equal seeds get equal texts, with others others."""
    sampling = same_for_all(SAMPLED, 4)._replace(seed=tf.constant([1, 2, 1, 3]))
    sources = translator.encode(tf.constant(["It is"] * 4))
    first, second, again, third = translator.answer(
        sources, tf.fill([4], 10), sampling
    ).text.numpy()
    assert first == again
    assert len({first, second, third}) == 3


def test_a_stop_string_cuts_the_text(translator, answer_as):
    """As in a continuation."""
    greedy = SAMPLED.model_copy(update={"temperature": 0.0})
    ((_, text, _),) = rows_of(answer_as(SOURCES[:1], greedy))
    stop = next(text[i : i + 2] for i in range(1, len(text)) if text[i : i + 2].isascii())
    sources = translator.encode(tf.constant(SOURCES[:1]))
    cut = translator.answer(
        sources, tf.constant([10]), same_for_all(greedy, 1), tf.constant([[stop]])
    )
    assert cut.text.numpy()[0] == text[: text.find(stop)]
    assert cut.finish_reason.numpy()[0] == b"stop"


def test_batches_do_not_change_completions(network, tokenizer):
    """Sorted by length and cut into batches of three, in the order they were given."""
    sources = [f"{number} of" * (number % 5) for number in range(8)]
    whole = generate_text(network, tokenizer, sources, BEAMS)
    assert generate_text(network, tokenizer, sources, BEAMS, batch_size=3) == whole
    assert len({row.text for row in whole}) > 4


def test_an_answer_ends_at_the_context(answer_as):
    """As many tokens as the decoder has positions, not one more."""
    found = answer_as(SOURCES, BEAMS.model_copy(update={"max_new_tokens": 1000}))
    full = found.finish_reason == b"length"
    assert (found.completion_tokens[full] == CONTEXT).all()
    assert (found.completion_tokens[~full] < CONTEXT).all()


def test_a_source_that_is_too_long_is_refused(network, tokenizer):
    """The context holds 23 bytes and eos, and no more."""
    assert len(generate_text(network, tokenizer, ["\0" * 23], BEAMS)) == 1
    with pytest.raises(UserError) as error:
        generate_text(network, tokenizer, ["\0" * 24], BEAMS)
    assert str(error.value) == (
        "prompt 1 has 25 tokens, special ones included, but the context of 24 tokens has room for"
        " 24; shorten it"
    )


def test_a_masked_lm_is_no_writer(tokenizer):
    """The message says what it is for."""
    shape = config.Model(
        kind="masked_lm", num_layers=1, hidden_dim=8, intermediate_dim=8, num_query_heads=1
    )
    network = models.build_model(shape, vocabulary_size=512, sequence_length=8)
    with pytest.raises(UserError, match="a masked_lm writes no text, but makes vectors of texts"):
        writer(network, tokenizer)
