"""Translating by looking up: what a translator with an archive and no grammar would do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Characters of an n-gram: three code points of 21 bits fit one 63-bit key, without collisions.
CHARACTERS = 3
_CODE_POINT_BITS = 21

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]


class TranslationMemory:
    """Translates a text as the nearest of the known texts was translated.

    ``nearest(x) = argmax_d cos(v(x), v(d))``, where ``v(x)_g = (1 + ln n_g(x)) ln(D / D_g)``

    over character trigrams g, n_g how often x has g, D known texts and D_g those of them that have
    g. Case does not matter. Of equally near texts the first is taken; where no trigram is
    shared, the first of all.

    Args:
        sources: The known texts, at least one.
        targets: Their translations.

    References:
        Salton and Buckley 1988, table 1: the weights that they call `ltc`.

    >>> memory = TranslationMemory(["good morning", "good night"], ["bonjour", "bonne nuit"])
    >>> memory.translate(["Morning!"])
    ['bonjour']
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        if len(sources) != len(targets) or not sources:
            raise ValueError(f"{len(sources)} sources and {len(targets)} targets are no memory")
        self._targets = list(targets)
        counted = [_trigrams(source) for source in sources]
        texts = np.repeat(np.arange(len(sources)), [len(keys) for keys, _ in counted])
        every = np.concatenate([keys for keys, _ in counted])
        self._keys, place, spread = np.unique(every, return_inverse=True, return_counts=True)
        self._idf: Floats = np.log(len(sources) / spread)
        weights = np.concatenate([_damped(counts) for _, counts in counted]) * self._idf[place]
        norms = np.sqrt(np.bincount(texts, weights**2, len(sources)))
        # One run of texts for each trigram, one after another: an inverted index.
        order = np.argsort(place, kind="stable")
        self._texts = texts[order]
        self._weights = (weights / np.maximum(norms, 1e-12)[texts])[order]
        self._ends = np.cumsum(spread)

    def nearest(self, text: str) -> int:
        """The number of the known text that is most like `text`."""
        keys, counts = _trigrams(text)
        if not len(self._keys) or not len(keys):
            return 0
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[places] == keys
        likeness = np.zeros(len(self._targets))
        for place, count in zip(places[known], _damped(counts[known]), strict=True):
            end = self._ends[place]
            start = self._ends[place - 1] if place else 0
            run = slice(start, end)  # a text stands in it once, so that += adds each
            likeness[self._texts[run]] += count * self._idf[place] * self._weights[run]
        return int(likeness.argmax())

    def translate(self, texts: Sequence[str]) -> list[str]:
        """What the nearest known text of each was translated to."""
        return [self._targets[self.nearest(text)] for text in texts]


def _trigrams(text: str) -> tuple[Keys, npt.NDArray[np.int64]]:
    """The different trigrams of a text, as sorted keys, and how often each stands there."""
    points = np.frombuffer(text.casefold().encode("utf-32-le", "replace"), np.uint32)
    points = points.astype(np.uint64)
    keys = np.zeros(max(len(points) - CHARACTERS + 1, 0), np.uint64)
    for offset in range(CHARACTERS):
        keys = (keys << np.uint64(_CODE_POINT_BITS)) | points[offset : offset + len(keys)]
    unique, counts = np.unique(keys, return_counts=True)
    return unique, counts.astype(np.int64)


def _damped(counts: npt.NDArray[np.int64]) -> Floats:
    return 1 + np.log(counts)
