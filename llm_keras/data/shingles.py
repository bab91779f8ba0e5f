"""A 64-bit number for every run of n words, or of n characters, of a text: its shingles.

Near duplicates have many of them in common (`minhash`), a leaked evaluation text some
(`decontamination`). Words are the runs of letters, digits and marks, in lower case: punctuation and
white space may differ. Of scripts that are written without spaces each character is a word.

The number of a unit, and that of a run of units, is a polynomial of its parts' numbers at a fixed
point, modulo 2**64, stirred at the end. One pass of prefix sums gives all runs at once, whatever
their length, so nothing here loops over words. The numbers are the same on every machine and in
every release: an index of earlier runs holds them.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Unit = Literal["words", "characters"]
Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

#: Characters looked at together, so that the arrays stay in a processor's cache.
BLOCK_CHARACTERS = 2**17
#: Code points above have no letters, as far as Unicode has come.
LAST_POINT = 0x3FFFF
#: Scripts without spaces between words: Thai to Tibetan, Myanmar, Khmer, kana and ideographs.
_ALONE = (
    *((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF)),
    *((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, LAST_POINT)),
)
#: Where the polynomials are evaluated: any odd number does, so that it has an inverse.
_POINT = 0x9FB21C651E98DF25


class Block(NamedTuple):
    """The shingles of some consecutive texts, or of a piece of a long one.

    Args:
        first: Number of the first text.
        hashes: The shingles of all its texts, uint64 [m]; a text has at least one.
        starts: Where each text's shingles begin, int64 [number of texts].
    """

    first: int
    hashes: Hashes
    starts: Indices


def blocks(texts: Sequence[str], unit: Unit, n: int) -> Iterator[Block]:
    """Hashes the shingles of `texts`, in their order.

    A text of fewer than n units has one shingle, the whole of it; a text without any has its exact
    characters as one. A text longer than `BLOCK_CHARACTERS` comes in several blocks of one text.

    Args:
        texts: The texts.
        unit: What a shingle is a run of.
        n: How many units.
    """
    first = 0
    while first < len(texts):
        size, end = len(texts[first]), first + 1
        if size > BLOCK_CHARACTERS:
            for hashes in _long(texts[first], unit, n):
                yield Block(first, hashes, np.zeros(1, np.int64))
        else:
            while end < len(texts) and size + 1 + len(texts[end]) <= BLOCK_CHARACTERS:
                size += 1 + len(texts[end])
                end += 1
            yield Block(first, *_short(texts[first:end], unit, n))
        first = end


def _short(texts: Sequence[str], unit: Unit, n: int) -> tuple[Hashes, Indices]:
    """Shingles of texts that fit into one block, and where each text's begin."""
    units, places = _units("\n".join(texts), unit)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    borders = np.searchsorted(places, np.concatenate(([0], np.cumsum(lengths))))
    if unit == "characters":  # the line feeds between texts are none of theirs
        units, borders = _without_joints(units, places, np.cumsum(lengths)[:-1] - 1, borders)
    empty = np.flatnonzero(np.diff(borders) == 0)
    if len(empty):
        units = np.insert(units, borders[empty], [_exact(texts[int(i)]) for i in empty])
        borders = borders + np.concatenate(([0], np.cumsum(np.diff(borders) == 0)))
    return _runs(units, borders, n)


def _without_joints(
    units: Hashes, places: Indices, joints: Indices, borders: Indices
) -> tuple[Hashes, Indices]:
    """Leaves out the units at the places `joints`, where they are units."""
    joint = np.isin(places, joints, assume_unique=True)
    return units[~joint], borders - np.concatenate(([0], np.cumsum(joint)))[borders]


def _long(text: str, unit: Unit, n: int) -> Iterator[Hashes]:
    """Shingles of one long text, piece by piece: memory does not grow with it."""
    kept = np.zeros(0, np.uint64)
    found = False
    for piece in _pieces(text):
        kept = np.concatenate((kept, _units(piece, unit)[0]))
        if len(kept) >= n:
            found = True
            yield _runs(kept, np.array([0, len(kept)]), n)[0]
            kept = kept[len(kept) - n + 1 :]
    if not found:
        units = kept if len(kept) else np.array([_exact(text)], np.uint64)
        yield _runs(units, np.array([0, len(units)]), n)[0]


def _pieces(text: str) -> Iterator[str]:
    """Cuts a text at white space near the size of a block; a word longer than that is cut."""
    start = 0
    while start < len(text):
        end = start + BLOCK_CHARACTERS
        if end < len(text):
            end = max(text.rfind(" ", start, end), text.rfind("\n", start, end)) + 1 or end
        yield text[start:end]
        start = end


def _runs(units: Hashes, borders: Indices, n: int) -> tuple[Hashes, Indices]:
    """Hashes every run of n units between two borders; fewer than n units are one run."""
    counts = np.diff(borders)
    runs = np.maximum(counts - n + 1, 1)
    starts = np.cumsum(runs) - runs
    begin = np.arange(runs.sum()) + np.repeat(borders[:-1] - starts, runs)
    end = np.minimum(begin + n, np.repeat(borders[1:], runs))
    return _polynomials(units, begin, end), starts


def _units(text: str, unit: Unit) -> tuple[Hashes, Indices]:
    """The number of each word or character, and where it begins."""
    tables = _tables()
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    points = np.minimum(points, LAST_POINT)
    if unit == "characters":
        white = tables.white[points]
        kept = ~white
        kept[1:] |= ~white[:-1]
        places = np.flatnonzero(kept)
        return tables.characters[points[places]], places
    values = tables.words[points]
    inside = values != 0
    border = np.ones(len(points) + 1, bool)
    np.not_equal(inside[1:], inside[:-1], out=border[1:-1])
    if not text.isascii():
        alone = tables.alone[points]
        border[:-1] |= alone
        border[1:] |= alone
    edges = np.flatnonzero(border)
    words = inside[edges[:-1]]
    begin, end = edges[:-1][words], edges[1:][words]
    return _polynomials(values, begin, end), begin


def _polynomials(values: Hashes, begin: Indices, end: Indices) -> Hashes:
    """One number for each run `values[begin:end]`."""
    powers, inverses = _powers(_table_size(len(values)))
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * powers[: len(values)], out=sums[1:])
    return _stir((sums[end] - sums[begin]) * inverses[begin])


def _stir(numbers: Hashes) -> Hashes:
    """Every bit of the result depends on every bit; different numbers stay different.

    References:
        Steele, Lea, Flood 2014, Fast Splittable Pseudorandom Number Generators, figure 12.
    """
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def numbers(count: int, purpose: str) -> Hashes:
    """Fixed odd numbers without a pattern; each purpose has its own."""
    drawn = (hashlib.blake2b(f"{purpose}\0{i}".encode(), digest_size=8) for i in range(count))
    return np.array([int.from_bytes(each.digest(), "little") | 1 for each in drawn], np.uint64)


def _exact(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")


def _table_size(length: int) -> int:
    """Few different sizes, so that few tables are kept."""
    size = 2 * BLOCK_CHARACTERS
    while size < length + 1:
        size *= 2
    return size


@functools.lru_cache(maxsize=2)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """The powers of the polynomials' point from 0 on, and their inverses modulo 2**64."""
    result = []
    for base in (_POINT, pow(_POINT, -1, 2**64)):
        powers = np.full(size, base, np.uint64)
        powers[0] = 1
        result.append(np.multiply.accumulate(powers))
    return result[0], result[1]


class _Tables(NamedTuple):
    """What each code point is: its number in a word (0: no part of one) or as a character."""

    words: Hashes
    characters: Hashes
    white: NDArray[np.bool_]
    alone: NDArray[np.bool_]


@functools.cache
def _tables() -> _Tables:
    every = list(map(chr, range(LAST_POINT + 1)))
    category = [unicodedata.category(each)[0] for each in every]
    # A capital counts as the first character of its small form: most have only one.
    small = np.array([ord(each.lower()[0]) for each in every], np.uint64)
    white = np.array([each.isspace() for each in every])
    in_word = np.isin(np.array(category), ["L", "N", "M"])
    values = _stir(small + np.uint64(1))
    alone = np.zeros(len(every), bool)
    for low, high in _ALONE:
        alone[low : high + 1] = True
    characters = np.where(white, values[ord(" ")], values)
    return _Tables(np.where(in_word, values, np.uint64(0)), characters, white, alone & in_word)
