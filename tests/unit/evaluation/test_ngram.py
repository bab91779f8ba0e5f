"""The Kneser-Ney baselines against a slow dictionary version and against KenLM."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from llm_keras.evaluation.ngram import FALLBACK_DISCOUNTS, KneserNey, discounts

BOS, EOS, V = 2, 3, 12
Grams = dict[tuple[int, ...], int]


def documents(seed: int, count: int = 60) -> list[list[int]]:
    """Random documents with a skewed vocabulary, so that n-grams recur and some never come."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, V - 4) ** 1.3
    return [
        [
            BOS,
            *rng.choice(np.arange(5, V), size=rng.integers(1, 15), p=weights / weights.sum()),
            EOS,
        ]
        for _ in range(count)
    ]


def flat(docs: Sequence[Sequence[int]]) -> np.ndarray:
    return np.concatenate([np.asarray(document) for document in docs])


class Slow:
    """The formulas of Chen and Goodman, one dictionary look-up at a time."""

    def __init__(self, docs: Sequence[Sequence[int]], order: int) -> None:
        raw: dict[int, Counter[tuple[int, ...]]] = defaultdict(Counter)
        for document in docs:
            for n in range(1, order + 1):
                for end in range(max(n, 2), len(document) + 1):
                    raw[n][tuple(int(t) for t in document[end - n : end])] += 1
        self.order, self.counts = order, {order: dict(raw[order])}
        for n in range(order - 1, 0, -1):
            left = defaultdict(set)
            for gram in raw[n + 1]:
                left[gram[1:]].add(gram[0])
            self.counts[n] = {
                gram: count if gram[0] == BOS else len(left[gram]) for gram, count in raw[n].items()
            }

    def probability(self, token: int, context: tuple[int, ...]) -> float:
        n = len(context) + 1
        lower = self.probability(token, context[1:]) if context else 1 / V
        followers = {g[-1]: a for g, a in self.counts[n].items() if g[:-1] == context}
        if not followers:
            return lower
        discount = (0.0, *discounts(np.array(list(self.counts[n].values()))))
        total = sum(followers.values())
        count = followers.get(token, 0)
        freed = sum(discount[min(a, 3)] for a in followers.values())
        return (count - discount[min(count, 3)]) / total + freed / total * lower


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_equals_slow_dictionaries(order: int) -> None:
    """Every held-out token has the probability that the formulas give one by one."""
    docs, held_out = documents(1), documents(2, count=20)
    slow = Slow(docs, order)
    expected = [
        np.log(slow.probability(document[i], tuple(document[max(0, i - order + 1) : i])))
        for document in held_out
        for i in range(1, len(document))
    ]
    model = KneserNey(flat(docs), order=order, vocabulary_size=V, bos_id=BOS)
    np.testing.assert_allclose(model.log_probabilities(flat(held_out)), expected, rtol=1e-12)


ADDRESSES = Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union"


def words_of_paragraphs(*names: str) -> list[list[str]]:
    texts = ((ADDRESSES / name).read_text(encoding="utf-8") for name in names)
    lines = (line for text in texts for line in text.lower().split("\n") if line.strip())
    return [re.findall(r"[a-z]+|[.,;]", line) for line in lines]


@pytest.mark.parametrize(("order", "kenlm_nats"), [(2, 16_796.866_9), (3, 16_670.399_0)])
def test_equals_kenlm(order: int, kenlm_nats: float) -> None:
    """Paragraphs of 1796, given three other addresses, cost what KenLM's model says.

    The figures: `lmplz -o ORDER --discount_fallback --vocab_pad 1911` of KenLM 0.3.0 on one line a
    paragraph, its ARPA file summed over the held-out words and paragraph ends, unknown words as
    <unk>. KenLM keeps single precision.
    """
    training = words_of_paragraphs(
        "1791_george_washington_n.txt", "1794_george_washington_n.txt", "1798_john_adams_f.txt"
    )
    ids = {word: i for i, word in enumerate(sorted({w for p in training for w in p}), 4)}
    counted, held_out = (
        flat([[BOS, *(ids.get(word, 1) for word in paragraph), EOS] for paragraph in paragraphs])
        for paragraphs in (training, words_of_paragraphs("1796_george_washington_n.txt"))
    )
    model = KneserNey(counted, order=order, vocabulary_size=len(ids) + 4, bos_id=BOS)
    assert -model.log_probabilities(held_out).sum() == pytest.approx(kenlm_nats, abs=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("context", [[], [BOS], [5], [BOS, 6], [6, 5], [11, 11], [0, 1], [EOS]])
def test_distribution_sums_to_one(order: int, context: list[int]) -> None:
    """Seen and unseen contexts alike give every id a probability, and all of them sum to one."""
    model = KneserNey(flat(documents(3)), order=order, vocabulary_size=V, bos_id=BOS)
    distribution = model.distribution(context)
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    assert distribution.min() > 0


def test_distribution_agrees_with_log_probabilities() -> None:
    """The two ways to ask give the same answer along a document."""
    model = KneserNey(flat(documents(4)), order=3, vocabulary_size=V, bos_id=BOS)
    document = documents(5, count=1)[0]
    asked = [
        np.log(model.distribution(document[max(0, i - 2) : i])[document[i]])
        for i in range(1, len(document))
    ]
    np.testing.assert_allclose(model.log_probabilities(document), asked, rtol=1e-12)


def test_documents_do_not_see_each_other() -> None:
    """The order of the documents changes neither the counts nor the scores."""
    docs, held_out = documents(6), documents(7, count=10)
    forward = KneserNey(flat(docs), order=3, vocabulary_size=V, bos_id=BOS)
    backward = KneserNey(flat(docs[::-1]), order=3, vocabulary_size=V, bos_id=BOS)
    alone = [backward.log_probabilities(document) for document in held_out]
    np.testing.assert_allclose(
        forward.log_probabilities(flat(held_out)), np.concatenate(alone), rtol=1e-12
    )


def test_discounts_of_chen_and_goodman() -> None:
    """Counts of counts 8, 4, 2, 1 give the discounts of equation 26, worked out by hand."""
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 3])
    assert discounts(counts) == pytest.approx((1 - 2 * 0.5 * 4 / 8, 2 - 3 * 0.5 * 0.5, 3 - 1.0))


@pytest.mark.parametrize("counts", [[7, 7, 7], [1], [1, 1, 2, 3, 3, 3, 3, 4]])
def test_discounts_fall_back_where_they_cannot_be_estimated(counts: list[int]) -> None:
    """A corpus without singletons, or with uneven ones, gets discounts between 0 and its counts."""
    assert discounts(np.array(counts)) == FALLBACK_DISCOUNTS


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ([5, 6, EOS], "each begun by id 2"),
        ([BOS, V, EOS], "do not fit vocabulary_size 12"),
        ([], "each begun by id 2"),
    ],
)
def test_refuses_streams_that_are_not_documents(stream: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KneserNey(stream, order=2, vocabulary_size=V, bos_id=BOS)


def test_refuses_ngrams_that_do_not_fit_a_key() -> None:
    with pytest.raises(ValueError, match="fit 63 bits"):
        KneserNey([BOS, EOS], order=4, vocabulary_size=65_536, bos_id=BOS)


def test_a_large_vocabulary_costs_no_table_of_its_square() -> None:
    """Trigrams over 65,536 ids and 300,000 tokens: memory goes with the tokens counted."""
    rng = np.random.default_rng(0)
    ids = rng.zipf(1.3, size=300_000) % 65_000 + 4
    ids[::500] = BOS
    model = KneserNey(ids, order=3, vocabulary_size=65_536, bos_id=BOS)
    assert sum(level.keys.nbytes for level in model._levels) < 3 * ids.nbytes
    assert np.isfinite(model.log_probabilities(ids[:10_000])).all()
