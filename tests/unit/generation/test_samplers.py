"""Samplers against NumPy, and against chance."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.generation import samplers

V = 40


@pytest.fixture
def logits():
    """Six rows of logits, a few of them equal and some forbidden."""
    values = np.random.default_rng(0).normal(0, 2, (6, V)).astype("float32").round(1)
    values[:, :3] = -np.inf
    return values


def kept(masked) -> list[set[int]]:
    """The ids of each row that stayed."""
    return [set(np.flatnonzero(np.isfinite(row)).tolist()) for row in np.asarray(masked)]


def settings(rows: int, **changes) -> samplers.Sampling:
    """Plain sampling at temperature 1, with some fields set."""
    fields = {
        "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0,
        "seed": 0,
    } | changes  # fmt: skip
    return samplers.Sampling(
        **{
            name: tf.broadcast_to(
                tf.constant(value, tf.int32 if name in ("top_k", "seed") else tf.float32), [rows]
            )
            for name, value in fields.items()
        }
    )


def test_top_k_keeps_the_largest_and_their_equals(logits):
    """Each row has its own k; 0 and V keep all; ties with the last one stay."""
    k = [0, 1, 5, V, 1000, 2]
    result = kept(samplers.keep_top_k(tf.constant(logits), tf.constant(k)))
    for row, k_row, found in zip(logits, k, result, strict=True):
        last = -np.inf if k_row in (0, V, 1000) else np.sort(row)[-k_row]
        assert found == set(np.flatnonzero((row >= last) & np.isfinite(row)).tolist())


@pytest.mark.parametrize("candidates", [4, 256])
def test_top_p_keeps_the_smallest_nucleus(logits, candidates, monkeypatch):
    """The same nucleus whether a few best tokens suffice or the whole vocabulary is sorted."""
    monkeypatch.setattr(samplers, "NUCLEUS_CANDIDATES", candidates)
    p = [0.01, 0.5, 0.9, 0.999, 1.0, 0.7]
    result = kept(samplers.keep_top_p(tf.constant(logits), tf.constant(p)))
    for row, p_row, found in zip(logits.astype("float64"), p, result, strict=True):
        probability = np.exp(row) / np.exp(row).sum()
        order = np.argsort(-probability, kind="stable")
        size = int(np.searchsorted(np.cumsum(probability[order]), p_row)) + 1
        last = -np.inf if p_row == 1 else row[order[min(size, V) - 1]]
        assert found == set(np.flatnonzero((row >= last) & np.isfinite(row)).tolist())


def test_min_p_is_relative_to_the_most_probable(logits):
    """Kept is what NumPy's softmax makes at least p times as probable as the best."""
    p = [0.0, 0.01, 0.1, 0.5, 0.99, 1.0]
    result = kept(samplers.keep_min_p(tf.constant(logits), tf.constant(p)))
    for row, p_row, found in zip(logits.astype("float64"), p, result, strict=True):
        probability = np.exp(row) / np.exp(row).sum()
        expected = (probability >= p_row * probability.max() * (1 - 1e-6)) & (probability > 0)
        assert found == set(np.flatnonzero(expected).tolist())
    assert len(result[1]) > len(result[3]) > 0


def test_temperature_divides_the_distances(logits):
    """Logits relative to the best; a tiny temperature leaves one token and no NaN."""
    scaled = samplers.scale_by_temperature(tf.constant(logits[:2]), tf.constant([0.5, 1e-45]))
    best = logits[0].max()
    np.testing.assert_allclose(scaled[0, 3:], (logits[0, 3:] - best) / 0.5, rtol=1e-6)
    assert not np.isnan(scaled).any()
    assert np.exp(scaled[1]).sum() == (logits[1] == logits[1].max()).sum()


def test_repetition_penalty_makes_seen_tokens_less_likely(logits):
    """Positive logits are divided, negative ones multiplied, once however often they occurred."""
    history = np.array([[5, 9, 5, 0]] * 6, "int32")
    penalty = np.array([1, 2, 0.5, 1e38, 1e-38, 1.3], "float32")
    result = samplers.penalize_repetition(
        tf.constant(logits), tf.constant(history), tf.constant(penalty)
    ).numpy()
    expected = logits.copy()
    for row in range(6):
        for token in (5, 9):
            x, r = np.float64(logits[row, token]), np.float64(penalty[row])
            expected[row, token] = np.clip(x / r if x > 0 else x * r, -1e30, 1e30)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-37)  # denormals flush


def test_draw_follows_the_probabilities():
    """20,000 draws at equally spaced numbers hit every token as often as softmax says."""
    probability = np.array([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    with np.errstate(divide="ignore"):
        logits = np.log(probability).astype("float32")
    uniform = (np.arange(20_000) + 0.5) / 20_000
    ids = samplers.draw(
        tf.broadcast_to(logits, [20_000, 6]), tf.constant(uniform, tf.float32)
    ).numpy()
    np.testing.assert_allclose(np.bincount(ids, minlength=6) / 20_000, probability, atol=2e-4)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
def test_draw_never_hits_a_forbidden_token(uniform):
    """The ends of [0, 1) beside tokens of probability 0, in vocabularies of awkward sums."""
    for size in (3, 257, 50_257):
        logits = np.random.default_rng(size).normal(0, 3, (4, size)).astype("float32")
        logits[:, :1] = logits[:, -1:] = logits[:, size // 2 : size // 2 + 1] = -np.inf
        logits[:, 1] = 0
        ids = samplers.draw(tf.constant(logits), tf.fill([4], uniform)).numpy()
        assert np.isfinite(logits[np.arange(4), ids]).all()


def test_a_row_chooses_the_same_alone_and_among_others(logits):
    """Greedy, plain, top-k, top-p, min-p and penalised rows in one batch, then each on its own."""
    mixed = settings(
        6,
        temperature=[0.0, 1.0, 0.7, 1.3, 1.0, 2.0],
        top_k=[3, 0, 5, 0, 2, 0],
        top_p=[0.5, 1.0, 1.0, 0.8, 0.9, 1.0],
        min_p=[0.5, 0.0, 0.1, 0.0, 0.05, 0.2],
        repetition_penalty=[1.0, 1.0, 1.0, 1.0, 1.5, 1.0],
        seed=[1, 2, 3, 4, 5, 6],
    )
    history = tf.constant([[4, 5, 6]] * 6)
    choose = tf.function(samplers.choose, reduce_retracing=True)
    for position in range(30):
        places = tf.fill([6], position)
        together = choose(tf.constant(logits), history, places, mixed).numpy()
        for row in range(6):
            one = slice(row, row + 1)
            alone = choose(
                tf.constant(logits[one]), history[one], places[one],
                samplers.Sampling(*(field[one] for field in mixed)),
            )  # fmt: skip
            assert alone.numpy().tolist() == [together[row]]


def test_temperature_zero_takes_the_best(logits):
    """Greedy rows ignore top-k, top-p and the seed."""
    chosen = samplers.choose(
        tf.constant(logits),
        tf.zeros([6, 1], tf.int32),
        tf.range(6),
        settings(6, temperature=0.0, top_k=7, top_p=0.3, seed=9),
    )
    assert chosen.numpy().tolist() == logits.argmax(-1).tolist()


def test_sampled_frequencies_follow_temperature_and_truncation():
    """4,000 seeds of one row: the empirical distribution is the truncated, scaled softmax."""
    logits = np.array([2.0, 1.5, 1.0, 0.0, -1.0, -np.inf], "float32")
    rows = 4_000
    chosen = samplers.choose(
        tf.broadcast_to(logits, [rows, 6]),
        tf.zeros([rows, 1], tf.int32),
        tf.fill([rows], 3),
        settings(rows, temperature=0.8, top_k=4, top_p=0.9)._replace(seed=tf.range(rows)),
    ).numpy()
    weights = np.exp(logits / 0.8)
    weights[4:] = 0  # top-k
    weights[3] = 0  # top-p: the first three hold 95 % of the four
    found = np.bincount(chosen, minlength=6) / rows
    np.testing.assert_allclose(found, weights / weights.sum(), atol=0.03)
    assert found[3:].sum() == 0
