"""Repetition rules: documents that say the same again and again (Rae et al. 2021, table A1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from llm_keras.data.rules.verdict import KEEP, Verdict, drop

TOP_REASON = "top_{n}_gram_characters"
DUPLICATE_REASON = "duplicate_{n}_gram_characters"

Integers = np.ndarray[tuple[int], np.dtype[np.int64]]


def duplicate_fractions(parts: Sequence[str]) -> tuple[float, float]:
    """How much of `parts` (lines, paragraphs) stood before.

    Returns:
        The fraction of parts, and the fraction of characters, that repeat an earlier part.
    """
    if len(parts) < 2:
        return 0.0, 0.0
    unique = set(parts)
    characters = sum(map(len, parts))
    return 1 - len(unique) / len(parts), 1 - sum(map(len, unique)) / characters


def repeated_parts(
    name: str, parts: Sequence[str], maximum: float, maximum_characters: float
) -> Verdict:
    """Gopher: at most these fractions of the lines or paragraphs repeat an earlier one.

    Args:
        name: What the parts are, for the reason: "line" or "paragraph".
        parts: The parts, blank ones left out.
        maximum: Largest fraction of parts.
        maximum_characters: Largest fraction of characters.
    """
    fraction, characters = duplicate_fractions(parts)
    if fraction > maximum:
        return drop(f"duplicate_{name}s", f"{fraction:.3f} > {maximum:g}")
    if characters > maximum_characters:
        return drop(f"duplicate_{name}_characters", f"{characters:.3f} > {maximum_characters:g}")
    return KEEP


def repeated_ngrams(
    words: Sequence[str], top: Mapping[int, float], duplicate: Mapping[int, float]
) -> Verdict:
    """Gopher: at most these fractions of the words' characters stand in repeated n-grams.

    Args:
        words: The words in order.
        top: n -> largest fraction of characters in the most frequent n-gram.
        duplicate: n -> largest fraction of characters in all n-grams that occur more than once.

    Characters are those of words, white space left out, and a word counts once however many
    repeated n-grams cover it. An n-gram that occurs once is no repetition.

    References:
        Rae et al. 2021, table A1; the counting follows Weber et al. 2024 (RedPajama), appendix D.
    """
    if not top and not duplicate:
        return KEEP
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    total = max(int(lengths.sum()), 1)
    for n, starts, groups in repeated_starts(words, max((*top, *duplicate))):
        if n in top:
            fraction = _top_characters(n, starts, groups, lengths) / total
            if fraction > top[n]:
                return drop(TOP_REASON.format(n=n), f"{fraction:.3f} > {top[n]:g}")
        if n in duplicate:
            fraction = int(lengths[_covered(n, starts, len(words))].sum()) / total
            if fraction > duplicate[n]:
                return drop(DUPLICATE_REASON.format(n=n), f"{fraction:.3f} > {duplicate[n]:g}")
    return KEEP


def repeated_starts(words: Sequence[str], longest: int) -> Iterator[tuple[int, Integers, Integers]]:
    """Finds every n-gram that occurs more than once, for n = 1, 2, ... `longest`.

    An n-gram can only repeat where both its (n-1)-grams do, so each round looks only at what the
    round before left over: little, in ordinary text. Numbers stand for n-grams, no hashes, so
    the answer is exact.

    Yields:
        n, the first words' indices of all occurrences (ascending), and for each occurrence a
        number that is equal for equal n-grams. Stops when nothing repeats.
    """
    starts, groups = _repeated(np.arange(len(words)), _numbered(words))
    for n in range(1, longest + 1):
        if not len(starts):
            return
        yield n, starts, groups
        # The (n+1)-gram at i is the n-gram at i and the n-gram at i + 1.
        adjacent = np.flatnonzero(np.diff(starts) == 1)
        pairs = groups[adjacent] * (int(groups.max()) + 1) + groups[adjacent + 1]
        starts, groups = _repeated(starts[adjacent], pairs)


def _numbered(words: Sequence[str]) -> Integers:
    """Numbers each word by its first occurrence: equal words, equal numbers."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))


def _repeated(starts: Integers, keys: Integers) -> tuple[Integers, Integers]:
    """Leaves the occurrences whose key occurs again, their groups numbered from 0."""
    _, groups, counts = np.unique(keys, return_inverse=True, return_counts=True)
    repeated = counts[groups] > 1
    return starts[repeated], groups[repeated]


def _covered(n: int, starts: Integers, num_words: int) -> np.ndarray[tuple[int], np.dtype[np.bool]]:
    """Marks the words that lie in an n-gram starting at one of `starts`."""
    borders = np.zeros(num_words + 1, np.int64)
    borders[starts] += 1
    borders[starts + n] -= 1
    return np.cumsum(borders[:-1]) > 0


def _top_characters(n: int, starts: Integers, groups: Integers, lengths: Integers) -> int:
    """Characters covered by the most frequent n-gram; among equals, by the one that covers most."""
    order = np.argsort(groups, kind="stable")
    starts, groups = starts[order], groups[order]
    # An occurrence adds what the one before it, of the same n-gram, does not cover already.
    first_new = starts.copy()
    same = groups[1:] == groups[:-1]
    first_new[1:][same] = np.maximum(starts[1:], starts[:-1] + n)[same]
    characters_before = np.concatenate(([0], np.cumsum(lengths)))
    added = characters_before[starts + n] - characters_before[first_new]
    counts = np.bincount(groups)
    covered = np.bincount(groups, weights=added)
    return int(covered[counts == counts.max()].max())
