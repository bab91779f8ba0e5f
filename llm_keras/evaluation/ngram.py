"""N-gram models with interpolated modified Kneser-Ney smoothing: the baselines of a language model.

A network that has learnt anything beats a model that only counts neighbours. These count the same
tokens as the network trains on, in seconds, by sorting instead of hashing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Discounts of n-grams counted once, twice and more often, where a corpus is too small or too
#: even to estimate them; the same as KenLM's --discount_fallback.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)


class KneserNey:
    """The probability of each token given the `order - 1` tokens before it in its document.

    ```
    p_n(w | h) = max(a(hw) - D_n(a(hw)), 0) / a(h.) + b(h) p_{n-1}(w | h without its first token)
    p_0(w)     = 1 / V
    ```

    where `a` counts occurrences at the highest order and for n-grams that begin with `bos_id`, and
    distinct left neighbours otherwise; `D_n` takes one of three values, for counts 1, 2 and more;
    and `b(h)` is the mass that the discounts set free, so that every distribution sums to one. In a
    context never seen, `b` is 1. Every id of the vocabulary has some probability, `bos_id` too,
    as the network's softmax gives it some.

    Args:
        stream: int [L], documents one after another, each begun by `bos_id`. Counted.
        order: 1 for unigrams, 2 for bigrams, 3 for trigrams.
        vocabulary_size: V; ids are below it. V ** order must stay below 2 ** 63.
        bos_id: Begins a document; only ever context, never predicted.

    Raises:
        ValueError: An id is outside the vocabulary, or the stream does not begin with `bos_id`.

    Example:
        >>> model = KneserNey(np.array([0, 1, 2, 1, 2, 3]), order=2, vocabulary_size=4, bos_id=0)
        >>> round(float(model.distribution([1]).sum()), 12)
        1.0
        >>> int(model.distribution([1]).argmax())
        2

    References:
        Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling",
        TR-10-98, section 3 (modified Kneser-Ney). Heafield et al. 2013, "Scalable modified
        Kneser-Ney language model estimation", section 3 (adjusted counts; n-grams that begin a
        sentence).
    """

    def __init__(
        self, stream: npt.ArrayLike, *, order: int, vocabulary_size: int, bos_id: int
    ) -> None:
        if order < 1 or vocabulary_size**order >= 2**63:
            raise ValueError(
                f"order {order} with vocabulary_size {vocabulary_size}: an n-gram must have an"
                " order of at least 1 and fit 63 bits"
            )
        self.order = order
        self.vocabulary_size = vocabulary_size
        self.bos_id = bos_id
        self._levels = self._count(self._checked(stream))

    def log_probabilities(self, stream: npt.ArrayLike) -> Floats:
        """Natural logarithms for every token of `stream` that is not `bos_id`, in its order.

        Args:
            stream: int [L], documents one after another, each begun by `bos_id`.

        Returns:
            float64 [targets].
        """
        ids = self._checked(stream)
        depth = self._depth(ids)
        p = np.full(ids.shape, 1.0 / self.vocabulary_size)
        for n, level in enumerate(self._levels, 1):
            known = np.flatnonzero((depth >= n - 1) & (depth > 0))
            p[known] = level.interpolate(self._keys(ids, known, n), p[known])
        return np.log(p[depth > 0])

    def distribution(self, context: Sequence[int]) -> Floats:
        """float64 [V]: the probability of every next token after `context`, oldest token first."""
        words = np.arange(self.vocabulary_size, dtype=np.int64)
        p = np.full(self.vocabulary_size, 1.0 / self.vocabulary_size)
        for n, level in enumerate(self._levels, 1):
            if len(context) >= n - 1:
                keys = words.copy()
                for back in range(1, n):
                    keys += int(context[-back]) * self.vocabulary_size**back
                p = level.interpolate(keys, p)
        return p

    def _checked(self, stream: npt.ArrayLike) -> Ints:
        ids = np.asarray(stream, dtype=np.int64)
        if ids.ndim != 1 or not ids.size or ids[0] != self.bos_id:
            raise ValueError(f"expected a flat stream of documents, each begun by id {self.bos_id}")
        if ids.min() < 0 or ids.max() >= self.vocabulary_size:
            raise ValueError(
                f"ids from {ids.min()} to {ids.max()} do not fit vocabulary_size"
                f" {self.vocabulary_size}"
            )
        return ids

    def _depth(self, ids: Ints) -> Ints:
        """How many tokens of its document stand before each token; 0 for `bos_id`."""
        places = np.arange(len(ids))
        return places - np.maximum.accumulate(np.where(ids == self.bos_id, places, 0))

    def _keys(self, ids: Ints, places: Ints, n: int) -> Ints:
        """The n-grams that end at `places`, each as one number in base V, oldest token first."""
        keys = ids[places]
        for back in range(1, n):
            keys += ids[places - back] * self.vocabulary_size**back
        return keys

    def _count(self, ids: Ints) -> list[_Level]:
        """Adjusted counts from the highest order down, as levels from the lowest up."""
        depth = self._depth(ids)
        levels: list[_Level] = []
        longer: Ints | None = None
        for n in range(self.order, 0, -1):
            # An n-gram that begins its document has no left neighbour: its occurrences count.
            places = np.flatnonzero(depth >= n - 1 if longer is None else depth == n - 1)
            places = places[depth[places] > 0]
            keys, counts = np.unique(self._keys(ids, places, n), return_counts=True)
            if longer is not None:
                inner, neighbours = np.unique(longer % self.vocabulary_size**n, return_counts=True)
                keys = np.concatenate([keys, inner])
                by_key = np.argsort(keys, kind="stable")
                keys, counts = keys[by_key], np.concatenate([counts, neighbours])[by_key]
            levels.insert(0, _Level.estimate(keys, counts, self.vocabulary_size))
            longer = keys
        return levels


@dataclass(frozen=True)
class _Level:
    """All n-grams of one order: what is left of each after its discount, and what was set free.

    Attributes:
        keys: int64 [K], ascending: context * V + token.
        discounted: float64 [K], (a - D) / a(context).
        contexts: int64 [C], ascending.
        backoff: float64 [C], the mass for the order below.
    """

    keys: Ints
    discounted: Floats
    contexts: Ints
    backoff: Floats
    vocabulary_size: int

    @classmethod
    def estimate(cls, keys: Ints, counts: Ints, vocabulary_size: int) -> _Level:
        if not keys.size:
            return cls(keys, np.empty(0), keys, np.empty(0), vocabulary_size)
        discount = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
        context = keys // vocabulary_size
        starts = np.flatnonzero(np.diff(context, prepend=-1))
        totals = np.add.reduceat(counts.astype(np.float64), starts)
        per_key = np.repeat(totals, np.diff(starts, append=len(keys)))
        backoff = np.add.reduceat(discount, starts) / totals
        return cls(keys, (counts - discount) / per_key, context[starts], backoff, vocabulary_size)

    def interpolate(self, keys: Ints, lower: Floats) -> Floats:
        """The probabilities of the n-grams `keys`, given those of the order below."""
        backoff = _find(keys // self.vocabulary_size, self.contexts, self.backoff, absent=1.0)
        return _find(keys, self.keys, self.discounted, absent=0.0) + backoff * lower


def discounts(counts: Ints) -> tuple[float, float, float]:
    """D(1), D(2), D(3+): ``k - (k + 1) t1 / (t1 + 2 t2) t(k+1) / t(k)``, t(k) counts counts of k.

    Args:
        counts: int64 [K], at least 1 each.

    Returns:
        Three discounts, each between 0 and its count; `FALLBACK_DISCOUNTS` where they are not.

    References:
        Chen and Goodman 1998, TR-10-98, equation 26.
    """
    t = np.bincount(np.minimum(counts, 5), minlength=6)[:5].astype(np.float64)
    if t[1:4].min() > 0:
        y = t[1] / (t[1] + 2 * t[2])
        found = tuple(k - (k + 1) * y * float(t[k + 1] / t[k]) for k in (1, 2, 3))
        if all(0 <= d <= k for k, d in enumerate(found, 1)):
            return float(found[0]), float(found[1]), float(found[2])
    return FALLBACK_DISCOUNTS


def _find(wanted: Ints, keys: Ints, values: Floats, absent: float) -> Floats:
    """The values of the `wanted` keys in the ascending `keys`; `absent` where there is none."""
    if not keys.size:
        return np.full(wanted.shape, absent)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], absent)
