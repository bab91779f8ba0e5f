"""The decode loop around a model small enough to be followed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.generation.decode_loop import StopStrings, generate
from llm_keras.generation.samplers import Sampling
from llm_keras.generation.special_ids import SpecialIds

V, STATES = 30, 97
EOS = 3
IDS = SpecialIds(pad=0, bos=2, eos=EOS, never=(0, 1, 2))
TABLE = np.random.default_rng(5).normal(0, 2, (STATES, V)).astype("float32")
TABLE[:, EOS] -= 1  # rarely
TABLE[:, :3] += 3  # what must never come out is often the most probable
PIECES = [b"", b"", b"", b""] + [bytes([ord("a") + i]) * (1 + i % 3) for i in range(V - 4)]
PROMPTS = [[2, 5, 9], [2], [2, 17, 4, 4, 21, 8], [2, 6]]


class SumModel:
    """The next token depends on every earlier token and its place, and on nothing else.

    Its cache is the tokens themselves [B, L]; its hidden state is one number [B, T, 1].
    """

    vocabulary_size = V
    weights = ()

    def initial_cache(self, batch_size, length):
        """Full of nonsense, which a correct loop never lets through."""
        return tf.fill([batch_size, length], 12345)

    def decode(self, tokens, cache, start):
        """Writes the tokens and sums up, causally."""
        rows, width = tf.unstack(tf.shape(tokens))
        place = tf.broadcast_to(tf.reshape(start, [-1, 1]) + tf.range(width), [rows, width])
        row = tf.broadcast_to(tf.range(rows)[:, None], [rows, width])
        cache = tf.tensor_scatter_nd_update(cache, tf.stack([row, place], -1), tokens)
        sums = tf.cumsum(cache * (tf.range(tf.shape(cache)[1]) + 1), axis=1)
        return (tf.gather(sums, place, batch_dims=1) % STATES)[..., None], cache

    def logits(self, hidden):
        """Looks the state up."""
        return tf.gather(TABLE, hidden[..., 0])


def by_hand(prompt, limit, penalty=1.0):
    """Greedy continuation of one prompt in plain Python: tokens, log-probabilities, stopped."""
    tokens, log_probabilities = list(prompt), []
    while len(tokens) < len(prompt) + limit:
        raw = TABLE[sum(t * (i + 1) for i, t in enumerate(tokens)) % STATES].astype("float64")
        logits = raw.copy()
        for token in set(tokens):
            logits[token] *= penalty if logits[token] < 0 else 1 / penalty
        logits[:3] = -np.inf
        best = int(logits.argmax())
        if best == EOS:
            return tokens[len(prompt) :], log_probabilities, True
        tokens.append(best)
        log_probabilities.append(raw[best] - np.log(np.exp(raw).sum()))
    return tokens[len(prompt) :], log_probabilities, False


def sampling(rows, temperature=0.0, penalty=1.0, seed=0):
    """The same settings for all rows."""
    return Sampling(
        tf.fill([rows], temperature),
        tf.fill([rows], 0),
        tf.fill([rows], 1.0),
        tf.fill([rows], 0.0),
        tf.fill([rows], penalty),
        tf.broadcast_to(tf.constant(seed, tf.int32), [rows]),
    )


def ragged(prompts):
    """Ragged int32 [B, None], also for no rows."""
    return tf.ragged.constant(prompts, dtype=tf.int32, ragged_rank=1)


@tf.function(reduce_retracing=True)
def graph(prompts, limits, settings):
    """The loop inside a graph, as everybody uses it."""
    return generate(SumModel(), prompts, limits, settings, IDS)


@tf.function(reduce_retracing=True)
def graph_with_stops(prompts, limits, settings, stop):
    """The same with stop strings."""
    return generate(SumModel(), prompts, limits, settings, IDS, StopStrings(stop, PIECES))


def run(prompts, limits, settings, stop=None):
    """Continues prompts given as lists."""
    if stop is None:
        return graph(ragged(prompts), limits, settings)
    return graph_with_stops(ragged(prompts), limits, settings, tf.constant(stop))


def rows_of(made):
    """Each row's tokens, without the filling."""
    return [row[:length].tolist() for row, length in zip(*map(np.array, made[:2]), strict=True)]


@pytest.mark.parametrize("penalty", [1.0, 1.8])
def test_greedy_equals_a_loop_in_python(penalty):
    """Prompts and limits of every length in one batch: tokens, log-probabilities, reasons."""
    limits = [40, 25, 3, 1]
    made = run(PROMPTS, tf.constant(limits), sampling(4, penalty=penalty))
    expected = [by_hand(*row, penalty) for row in zip(PROMPTS, limits, strict=True)]
    assert rows_of(made) == [tokens for tokens, _, _ in expected]
    assert made.stopped.numpy().tolist() == [stopped for _, _, stopped in expected]
    assert False in made.stopped.numpy()
    assert (True in made.stopped.numpy()) == (penalty == 1.0)
    for row, (_, log_probabilities, _) in enumerate(expected):
        count = len(log_probabilities)
        np.testing.assert_allclose(
            made.log_probabilities[row, :count], log_probabilities, rtol=1e-5, atol=1e-6
        )
        assert not np.any(made.log_probabilities[row, count:])
        assert not np.any(made.tokens[row, count:])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_is_the_same_alone_and_among_others(temperature):
    """Neither batch mates nor padding nor another row's limit change a row, greedy or sampled."""
    limits = [12, 30, 5, 20]
    together = run(PROMPTS, tf.constant(limits), sampling(4, temperature, seed=[7, 8, 9, 7]))
    for row, seed in enumerate([7, 8, 9, 7]):
        alone = run(PROMPTS[row : row + 1], tf.constant(limits[row : row + 1]),
                    sampling(1, temperature, seed=seed))  # fmt: skip
        assert rows_of(alone) == rows_of(together)[row : row + 1]
        assert alone.stopped[0] == together.stopped[row]


def test_seeds_differ_and_repeat():
    """Equal seeds give equal texts, others others."""
    prompts = [[2, 5]] * 4
    rows = rows_of(run(prompts, tf.fill([4], 20), sampling(4, 1.0, seed=[1, 2, 1, 3])))
    assert rows[0] == rows[2]
    assert len({tuple(row) for row in rows}) == 3


def test_a_continued_text_goes_on_as_if_never_cut():
    """Drawing depends on the place in the text, so a prompt may be prolonged by its own answer."""
    whole = rows_of(run([[2, 5]], tf.constant([12]), sampling(1, 1.0, seed=4)))[0]
    assert len(whole) == 12
    rest = rows_of(run([[2, 5, *whole[:5]]], tf.constant([7]), sampling(1, 1.0, seed=4)))[0]
    assert rest == whole[5:]


def test_forbidden_ids_never_come_out():
    """Pad, unk and bos are the most probable tokens of this model half of the time."""
    assert (TABLE.argmax(-1) < 3).mean() > 0.3
    made = run([[2, i] for i in range(64)], tf.fill([64], 30), sampling(64, 1.5, seed=range(64)))
    tokens = np.concatenate(rows_of(made))
    assert len(tokens) > 500
    assert tokens.min() > EOS


def test_stop_strings_end_their_row_only():
    """The row ends with the token that completes the stop string; the suffix covers the string."""
    limits = tf.constant([25, 25, 6, 10])
    free = rows_of(run(PROMPTS, limits, sampling(4)))
    texts = [b"".join(PIECES[token] for token in row) for row in free]
    # The first row's stop string begins inside one token and ends inside another one.
    stop = [[texts[0][3:7], b"ZZ"], [b"", b""], [b"", b"ZZ"], [b"ZZ", texts[3][:1]]]
    made = run(PROMPTS, limits, sampling(4), stop)
    for row in (1, 2):
        assert rows_of(made)[row] == free[row]
        assert made.stop_suffix[row] == 0
    for row, string in ((0, stop[0][0]), (3, stop[3][1])):
        text = b"".join(PIECES[token] for token in rows_of(made)[row])
        start = texts[row].find(string)
        assert made.stopped[row]
        assert len(text) - int(made.stop_suffix[row]) == start
        last = len(PIECES[rows_of(made)[row][-1]])
        assert string not in text[:-last]


def test_ends_as_soon_as_all_rows_are_done(monkeypatch):
    """A limit of 500 costs no more model calls than the tokens before eos."""
    calls = []

    class Counted(SumModel):
        def logits(self, hidden):
            tf.py_function(calls.append, [tf.constant(1)], [])
            return super().logits(hidden)

    tokens, _, stopped = by_hand(PROMPTS[0], 500)
    assert stopped
    prompts, limits = ragged(PROMPTS[:1]), tf.constant([500])
    tf.function(lambda: generate(Counted(), prompts, limits, sampling(1), IDS))()
    assert len(calls) == len(tokens) + 1  # eos is a token too


def test_no_rows_give_no_rows():
    """A batch of none passes."""
    made = run([], tf.zeros([0], tf.int32), sampling(0))
    assert made.lengths.shape == (0,)
    assert made.tokens.shape[0] == 0


def test_log_probabilities_are_the_models_own():
    """Penalty and temperature change the choice, not the reported probability of the choice."""
    made = run([[2, 5]], tf.constant([1]), sampling(1, 1.7, penalty=3.0, seed=11))
    raw = TABLE[(2 * 1 + 5 * 2) % STATES].astype("float64")
    expected = raw[int(made.tokens[0, 0])] - np.log(np.exp(raw).sum())
    np.testing.assert_allclose(made.log_probabilities[0, 0], expected, rtol=1e-5)


def test_filling_is_not_said_where_pad_is_eos():
    """GPT-2 has one id for both: a penalty on repetition must not fall on eos."""
    limits = tf.constant([40, 25, 3, 1])
    penalised = sampling(4, penalty=1.8)
    expected = rows_of(run(PROMPTS, limits, penalised))
    same_id = IDS._replace(pad=EOS)
    made = tf.function(lambda: generate(SumModel(), ragged(PROMPTS), limits, penalised, same_id))()
    assert rows_of(made) == expected
