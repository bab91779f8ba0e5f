"""Guessing a hidden token from how often tokens stand alone and side by side: counts, no network.

V vocabulary; x is the hidden token, l and r are its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from llm_keras.evaluation.masking import FAIR, Guesses, MaskedRows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: m: so many tokens are added to the counts of a context, spread as all tokens are.
PRIOR_TOKENS = 100.0


class Neighbours:
    """Probabilities of a token between two others, from counts of pairs.

    ``p(x | l, r) ~ p(x | l) p(r | x)``, where ``p(x | l) = (c(l x) + m p(x)) / (c(l) + m)`` and
    ``p(x) = (c(x) + 1) / (L + V)`` over the L tokens counted. A neighbour that is hidden itself
    or not there is left out; without both, x is guessed by ``p(x)`` alone.

    Args:
        stream: int [L], the training documents one after another.
        vocabulary_size: V.

    References:
        MacKay and Peto 1995, section 3: the prior that is spread as the tokens are.

    >>> model = Neighbours(np.tile([1, 1, 1, 0, 2, 3], 100), vocabulary_size=4)
    >>> int(model.distribution(None, None).argmax()), int(model.distribution(0, 3).argmax())
    (1, 2)
    """

    def __init__(self, stream: npt.ArrayLike, vocabulary_size: int) -> None:
        ids = np.asarray(stream, np.int64)
        self.vocabulary_size = vocabulary_size
        self.counts = np.bincount(ids, minlength=vocabulary_size)
        self.unigram: Floats = (self.counts + 1) / (len(ids) + vocabulary_size)
        self._after = _Pairs(ids[:-1], ids[1:], vocabulary_size)
        self._before = _Pairs(ids[1:], ids[:-1], vocabulary_size)

    def distribution(self, left: int | None, right: int | None) -> Floats:
        """float64 [V]: the probability of every token between `left` and `right`."""
        p = self.unigram.copy()
        if left is not None:
            p *= PRIOR_TOKENS
            tokens, counts = self._after.of(left)
            p[tokens] += counts  # divided by (c(l) + m), the same for all: see the last line
        if right is not None:
            following = np.full(self.vocabulary_size, PRIOR_TOKENS * self.unigram[right])
            tokens, counts = self._before.of(right)
            following[tokens] += counts
            p *= following / (self.counts + PRIOR_TOKENS)
        return p / p.sum()


class _Pairs:
    """For each token the tokens that stand on one side of it, and how often."""

    def __init__(self, centres: Ints, others: Ints, vocabulary_size: int) -> None:
        keys, self._counts = np.unique(centres * vocabulary_size + others, return_counts=True)
        self._others = keys % vocabulary_size
        self._ends = np.searchsorted(keys // vocabulary_size, np.arange(vocabulary_size + 1))

    def of(self, centre: int) -> tuple[Ints, Ints]:
        run = slice(self._ends[centre], self._ends[centre + 1])
        return self._others[run], self._counts[run]


def guess(model: Neighbours, batches: Iterable[MaskedRows], *, looks: bool) -> Guesses:
    """Lets a model of counts guess all hidden tokens.

    Args:
        model: Counted on training documents.
        batches: The rows.
        looks: Whether at the neighbours; otherwise every guess is the most frequent token.
    """
    guesses = Guesses()
    for rows in batches:
        for row, place in np.argwhere(rows.hidden).tolist():
            around = (_seen(rows, row, place, step) if looks else None for step in (-1, 1))
            p = model.distribution(*around)
            truth = p[rows.tokens[row, place]]
            rank = np.count_nonzero(p >= truth) - 1  # of equals, the truth comes last
            guesses.add(-np.log(truth), rank < 1, rank < FAIR, 1)
    return guesses


def _seen(rows: MaskedRows, row: int, place: int, step: int) -> int | None:
    """The neighbour at one side, where there is one in the document and it is not hidden."""
    other = place + step
    if not 0 <= other < rows.tokens.shape[1] or rows.hidden[row, other]:
        return None
    if rows.segments[row, other] != rows.segments[row, place]:
        return None
    return int(rows.tokens[row, other])
