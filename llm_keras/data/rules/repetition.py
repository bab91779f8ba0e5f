"""Repetition rules: documents that say the same again and again (Rae et al. 2021, table A1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from llm_keras.data.rules.verdict import KEEP, Verdict, drop

TOP_REASON = "top_{n}_gram_characters"
DUPLICATE_REASON = "duplicate_{n}_gram_characters"

Integers = np.ndarray[tuple[int], np.dtype[np.int64]]


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How much of `parts` (lines, paragraphs) stood before.

    Returns:
        How many parts repeat an earlier one, and how many characters those have.
    """
    unique = set(parts)
    return len(parts) - len(unique), sum(map(len, parts)) - sum(map(len, unique))


Note = Callable[[str, float], object]


def _note_nothing(name: str, value: float) -> None:
    """For callers that want no figures."""


def repeated_parts(
    name: str,
    parts: Sequence[str],
    total: int,
    maximum: float,
    maximum_characters: float,
    note: Note = _note_nothing,
) -> Verdict:
    """Gopher: at most these fractions of the lines or paragraphs repeat an earlier one.

    Args:
        name: What the parts are, for the reason: "line" or "paragraph".
        parts: The parts.
        total: Characters of the text, what stands between its parts included.
        maximum: Largest fraction of parts.
        maximum_characters: Largest fraction of characters.
        note: Is told the fraction of characters, by the name of its reason.
    """
    repeated, characters = duplicates(parts)
    note(f"duplicate_{name}_characters", characters / max(total, 1))
    if repeated > maximum * len(parts):
        return drop(f"duplicate_{name}s", f"{repeated / len(parts):.3f} > {maximum:g}")
    if characters > maximum_characters * total:
        detail = f"{characters / total:.3f} > {maximum_characters:g}"
        return drop(f"duplicate_{name}_characters", detail)
    return KEEP


def repeated_ngrams(
    words: Sequence[str],
    total: int,
    top: Mapping[int, float],
    duplicate: Mapping[int, float],
    note: Note = _note_nothing,
) -> Verdict:
    """Gopher: at most these fractions of a text's characters stand in repeated n-grams.

    Args:
        words: The words in order.
        total: Characters of the text.
        top: n -> largest fraction of characters in the most frequent n-gram.
        duplicate: n -> largest fraction of characters in n-grams that stood before.
        note: Is told each fraction that is computed, by the name of its reason.

    References:
        Rae et al. 2021, table A1. The paper leaves the counting open; it is that of datatrove
        0.10.1, by which FineWeb was made: of the most frequent n-gram, the first of equals, every
        occurrence counts, with a blank between words, also where they overlap. Of the others an
        n-gram counts where it stood before, and the search goes on behind it.

    Differs from the source: an n-gram that occurs once is no repetition (datatrove takes the first
        then, which matters in texts of some ten words).
    """
    if not top and not duplicate:
        return KEEP
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    before = np.concatenate(([0], np.cumsum(lengths)))
    for n, starts, groups in repeated_starts(words, max((*top, *duplicate))):
        for name, limits, count in (
            (TOP_REASON, top, _top_characters),
            (DUPLICATE_REASON, duplicate, _repeated_characters),
        ):
            if n in limits:
                fraction = count(n, starts, groups, before) / max(total, 1)
                reason = name.format(n=n)
                note(reason, fraction)
                if fraction > limits[n]:
                    return drop(reason, f"{fraction:.3f} > {limits[n]:g}")
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


def _top_characters(n: int, starts: Integers, groups: Integers, before: Integers) -> int:
    """Characters of all occurrences of the most frequent n-gram, blanks between words included."""
    counts = np.bincount(groups)
    # `starts` rise, so the first occurrence of any n-gram of the largest count is the first of all.
    first = int(starts[np.argmax(counts[groups] == counts.max())])
    return int(counts.max()) * int(before[first + n] - before[first] + n - 1)


def _repeated_characters(n: int, starts: Integers, groups: Integers, before: Integers) -> int:
    """Characters of the words of n-grams that stood before, counted from left to right."""
    lengths = (before[starts + n] - before[starts]).tolist()
    seen: set[int] = set()
    characters = free = 0
    for start, group, length in zip(starts.tolist(), groups.tolist(), lengths, strict=True):
        if start < free:
            continue
        if group in seen:
            characters += length
            free = start + n
        else:
            seen.add(group)
    return characters
