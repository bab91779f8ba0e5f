"""Beam search against the enumeration of all texts, greedy search, and TF Model Garden."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.generation import beam_search
from llm_keras.generation.decode_loop import generate
from llm_keras.generation.samplers import Sampling
from llm_keras.generation.special_ids import SpecialIds

IDS = SpecialIds(pad=0, bos=2, eos=3, never=(0, 1, 2))
STATES = 97


class TableModel:
    """The next token depends on every earlier one and its place.

    The cache is that number alone, [B, 1]: it is right only if beams take theirs along.
    """

    def __init__(self, vocabulary_size, spread, seed):
        self.vocabulary_size = vocabulary_size
        shape = (STATES, vocabulary_size)
        self.table = np.random.default_rng(seed).normal(0, spread, shape).astype("float32")

    def initial_cache(self, batch_size, length):
        """Nothing read yet."""
        return tf.zeros([batch_size, 1], tf.int32)

    def decode(self, tokens, cache, start):
        """Folds the tokens into one number; prompts are of one length here."""
        state = cache
        for place in range(tokens.shape[1] or 1):
            state = (state * 31 + tokens[:, place : place + 1]) % STATES
        return state[:, :, None], state

    def logits(self, hidden):
        """Looks the state up."""
        return tf.gather(self.table, hidden[..., 0])

    def log_probabilities(self, tokens):
        """Of what may follow `tokens`, in NumPy."""
        state = 0
        for token in tokens:
            state = (state * 31 + token) % STATES
        row = self.table[state].astype("float64")
        return row - np.log(np.exp(row).sum())


def search(model, prompts, limits, num_beams, length_penalty=0.6):
    """The search in a graph, as everybody uses it."""
    prompts = tf.ragged.constant(prompts, tf.int32, ragged_rank=1)
    limits = tf.broadcast_to(tf.constant(limits, tf.int32), [prompts.nrows()])

    @tf.function(
        input_signature=[
            tf.RaggedTensorSpec([None, 1], tf.int32), tf.TensorSpec([None], tf.int32)
        ],
        autograph=False,
    )  # fmt: skip
    def graph(prompts, limits):
        return beam_search.search(model, prompts, limits, IDS, num_beams, length_penalty)

    return tf.nest.map_structure(np.array, graph(prompts, limits))


def texts(found, row):
    """The hypotheses of a row that there are: tokens, whether finished, and score."""
    return [
        (tuple(tokens[:length].tolist()), bool(finished), score)
        for tokens, length, score, finished in zip(
            found.tokens[row], found.lengths[row], found.scores[row], found.finished[row],
            strict=True,
        )
        if score > -np.inf
    ]  # fmt: skip


def enumerate_all(model, prompt, limit, alpha):
    """Every finished text and its score, best first."""
    words = [token for token in range(model.vocabulary_size) if token > 3]
    scores = {}
    for length in range(limit):
        for text in itertools.product(words, repeat=length):
            said = [*prompt, *text, IDS.eos]
            total = sum(
                model.log_probabilities(said[:place])[said[place]]
                for place in range(len(prompt), len(said))
            )
            scores[text] = total / ((5 + length + 1) / 6) ** alpha
    return sorted(scores.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_enough_beams_find_the_best_of_all_texts(alpha):
    """Four words and four places: 85 texts, whose scores are summed in NumPy."""
    model = TableModel(8, spread=1.5, seed=1)
    prompts = [[word] for word in range(2, 8)]
    found = search(model, prompts, 4, 64, alpha)
    for row, prompt in enumerate(prompts):
        expected = enumerate_all(model, prompt, 4, alpha)
        made = [(text, score) for text, finished, score in texts(found, row) if finished][:10]
        assert made
        assert [text for text, _ in made] == [text for text, _ in expected[: len(made)]]
        np.testing.assert_allclose(
            [score for _, score in made], [score for _, score in expected[: len(made)]], rtol=1e-5
        )


def test_few_beams_are_not_better_than_all():
    """A narrow search may miss the best text; what it claims of its own is true."""
    model, missed = TableModel(8, spread=1.0, seed=3), 0
    model.table[:, IDS.eos] -= 1
    prompts = [[word] for word in range(2, 8)]
    found = search(model, prompts, 4, 2)
    for row, prompt in enumerate(prompts):
        expected = dict(enumerate_all(model, prompt, 4, 0.6))
        for text, finished, score in texts(found, row):
            assert not finished or np.isclose(score, expected[text], rtol=1e-5)
        missed += texts(found, row)[0][0] != next(iter(expected))
    assert 0 < missed < len(prompts)


def test_one_beam_is_greedy_search():
    """Tokens, log-probabilities and reasons are those of the decode loop at temperature 0."""
    model, rows = TableModel(30, spread=1.0, seed=5), 20
    model.table[:, IDS.eos] += 0.5
    prompts, limits = [[word] for word in range(4, 24)], [15] * 10 + [3] * 10
    found = search(model, prompts, limits, 1)
    zero, one = tf.zeros([rows]), tf.ones([rows])
    greedy = Sampling(zero, tf.zeros([rows], tf.int32), one, zero, one, tf.zeros([rows], tf.int32))
    ragged = tf.ragged.constant(prompts, tf.int32, ragged_rank=1)
    made = tf.function(lambda: generate(model, ragged, tf.constant(limits), greedy, IDS))()
    np.testing.assert_array_equal(found.tokens[:, 0], made.tokens)
    np.testing.assert_array_equal(found.lengths[:, 0], made.lengths)
    np.testing.assert_array_equal(found.finished[:, 0], made.stopped)
    np.testing.assert_allclose(found.log_probabilities[:, 0], made.log_probabilities, rtol=1e-5)
    assert 0 < made.stopped.numpy().sum() < rows


def model_garden(model, prompt, limit, num_beams, alpha):
    """Tokens of the best text, and scores and tokens of all finished ones."""
    from official.nlp.modeling.ops import beam_search as garden

    def logits(ids, step, cache):
        state = tf.zeros([tf.shape(ids)[0]], tf.int32)
        for place in range(ids.shape[1]):
            state = (state * 31 + ids[:, place]) % STATES
        return tf.gather(model.table, state), cache

    # Eager, step by step: its while loop wants to know lengths beforehand otherwise.
    sequences, scores = garden.sequence_beam_search(
        logits, tf.constant([prompt[-1]]), {"unused": tf.zeros([1, 1])}, model.vocabulary_size,
        num_beams, alpha, limit, IDS.eos,
    )  # fmt: skip
    return sequences.numpy()[0, :, 1:], scores.numpy()[0]


def test_token_ids_equal_model_garden():
    """20 prompts, 4 beams, alpha 0.6: the same texts in the same order with the same scores."""
    model = TableModel(50, spread=1.6, seed=7)
    model.table[:, IDS.eos] += 1.5
    model.table[:, IDS.never] = -1e6  # Model Garden has no other way to rule them out
    prompts = [[word] for word in range(4, 24)]
    found = search(model, prompts, 12, 4)
    finished = 0
    for row, prompt in enumerate(prompts):
        sequences, scores = model_garden(model, prompt, 12, 4, 0.6)
        made = texts(found, row)
        if not made[0][1]:  # nothing ended: Model Garden's scores are then without the penalty
            assert sequences[0, : len(made[0][0])].tolist() == list(made[0][0])
            continue
        for (text, ended, score), sequence, expected in zip(made, sequences, scores, strict=True):
            if not ended:  # Model Garden has nothing here
                assert expected < -1e6
                continue
            assert sequence[: len(text) + 1].tolist() == [*text, IDS.eos]
            np.testing.assert_allclose(score, expected, rtol=1e-5)
            finished += 1
    assert finished > 40


def test_a_row_is_the_same_alone_and_among_others():
    """Neither batch mates, which may need longer, nor another row's limit change a row."""
    model = TableModel(40, spread=1.8, seed=11)
    model.table[:, IDS.eos] += 1
    prompts, limits = [[word] for word in range(4, 20)], [14, 3, 9, 1] * 4
    together = search(model, prompts, limits, 4)
    steps = set()
    for row, prompt in enumerate(prompts):
        alone = search(model, [prompt], limits[row : row + 1], 4)
        assert [text[:2] for text in texts(alone, 0)] == [text[:2] for text in texts(together, row)]
        np.testing.assert_allclose(alone.scores[0], together.scores[row], rtol=1e-5)
        steps.add(int(alone.lengths.max()))
    assert len(steps) > 4


def test_unfinished_texts_fill_the_places_that_are_left():
    """At a limit of one token most texts have not ended; the ended one goes first all the same."""
    model = TableModel(20, spread=1.0, seed=13)
    found = search(model, [[5]], 1, 4)
    made = texts(found, 0)
    expected = model.log_probabilities([5])
    words = sorted(range(4, 20), key=lambda word: -expected[word])
    rest = [((word,), False) for word in words]
    ended = [((), True)] if made[0][1] else []
    assert [text[:2] for text in made] == (ended + rest)[:4]
    np.testing.assert_allclose(found.scores[0, -1], expected[made[-1][0][0]], rtol=1e-5)


def test_more_beams_than_texts_leave_places_empty():
    """One word, one token: two texts, and the other places score -inf."""
    found = search(TableModel(5, spread=1.0, seed=17), [[4]], 1, 4)
    assert sorted(text for text, _, _ in texts(found, 0)) == [(), (4,)]
    assert np.isinf(found.scores[0, 2:]).all()
    assert not found.finished[0, 2:].any()


def test_no_rows_give_no_rows():
    """A batch of none passes."""
    found = search(TableModel(9, spread=1.0, seed=19), [], [], 3)
    assert found.tokens.shape[:2] == (0, 3)
