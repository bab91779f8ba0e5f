"""Documents to rows of constant length and back.

A document is `[bos] + ids + [eos]`. There are two ways to lay documents into rows of T + 1 tokens,
of which the model reads the first T and predicts the last T; in both every token of a document but
its first is predicted exactly once.

`stream`: the documents of a shard follow each other, and row r is `stream[r * T : r * T + T + 1]`:
neighbours overlap by one token, because the model predicts token t + 1 from token t. No row but the
last has padding, and documents are cut where a row ends.

`best_fit`: a document that fits a row is never cut. A longer one is cut into pieces of T + 1 tokens
that overlap by one, as above; what is left, and every whole document, goes, the longest first, into
the row that it leaves the least room in.

References:
    Ding et al. 2024, "Fewer truncations improve language modeling", section 3: best-fit packing.
    Differs: the pieces of a cut document overlap by a token, so that none is lost as a target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

Rows = dict[str, np.ndarray]

#: Rows, and about how many tokens, made at once: bounds the memory beside the documents themselves.
BLOCK_ROWS, BLOCK_TOKENS = 4096, 1 << 20
#: The least that is laid into a row: a token to read and one to predict.
LEAST_TOKENS = 2


class Parts(NamedTuple):
    """Where the tokens of documents lie: int64 arrays of one length, in the order of documents.

    Args:
        document: Number of the document.
        start: Place in the document of the part's first token.
        tokens: How many; of parts of one document the last is the first of the next.
        row: Number of the row.
        first_token: Place in the row of the part's first token.
    """

    document: np.ndarray
    start: np.ndarray
    tokens: np.ndarray
    row: np.ndarray
    first_token: np.ndarray


def count_rows(stream_tokens: int, sequence_length: int) -> int:
    """Rows that a stream is cut into: one for each started T targets.

    >>> count_rows(9, sequence_length=4), count_rows(10, sequence_length=4)
    (2, 3)
    """
    return max(0, -(-(stream_tokens - 1) // sequence_length))


def stream_parts(lengths: np.ndarray, sequence_length: int) -> Parts:
    """Lays documents one after the other.

    Args:
        lengths: Tokens of each document, at least two.
        sequence_length: T.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    begins = ends - lengths
    # A token that two rows share is in both: a document that begins or ends with it has a part of
    # one token there, which predicts nothing.
    shared = (begins % sequence_length == 0) & (begins > 0)
    first_row = begins // sequence_length - shared
    last_row = np.minimum((ends - 1) // sequence_length, (ends[-1] - 2) // sequence_length)
    counts = last_row - first_row + 1
    document = np.repeat(np.arange(len(lengths)), counts)
    row = first_row[document] + _within(counts)
    begin = np.maximum(begins[document], row * sequence_length)
    end = np.minimum(ends[document], row * sequence_length + sequence_length + 1)
    return Parts(
        document, begin - begins[document], end - begin, row, begin - row * sequence_length
    )


def best_fit_parts(lengths: np.ndarray, sequence_length: int) -> Parts:
    """Lays whole documents, and the pieces of long ones, into as few rows as best fit finds.

    Args:
        lengths: Tokens of each document, at least two.
        sequence_length: T.
    """
    counts = np.maximum(1, -(-(lengths - 1) // sequence_length)).astype(np.int64)
    document = np.repeat(np.arange(len(lengths)), counts)
    start = _within(counts) * sequence_length
    tokens = np.minimum(lengths[document] - start, sequence_length + 1).astype(np.int64)
    bins = best_fit(tokens.tolist(), sequence_length + 1)
    # Rows in the order of their first document, and in a row documents in theirs.
    bins = sorted(sorted(each) for each in bins)
    order = np.fromiter(itertools.chain.from_iterable(bins), np.int64, len(tokens))
    sizes = np.fromiter(map(len, bins), np.int64, len(bins))
    row, first_token = np.zeros_like(start), np.zeros_like(start)
    row[order] = np.repeat(np.arange(len(bins)), sizes)
    before = np.cumsum(tokens[order]) - tokens[order]
    first_token[order] = before - np.repeat(before[np.cumsum(sizes) - sizes], sizes)
    return Parts(document, start, tokens, row, first_token)


def best_fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Best-fit decreasing: bins of `capacity` that hold items of these sizes.

    Bins are known by the room that they have left. Which amounts of room there are is the bits of
    one whole number, so that the least that is enough is found in a step.

    Args:
        sizes: Each at most `capacity`.
        capacity: Of a bin.

    Returns:
        The numbers of the items in each bin.

    >>> best_fit([3, 6, 4, 7], capacity=10)
    [[3, 0], [1, 2]]
    """
    bins: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0
    for item in sorted(range(len(sizes)), key=lambda each: -sizes[each]):
        size = sizes[item]
        if enough := rooms >> size:
            room = size + (enough & -enough).bit_length() - 1
            number = with_room[room].pop()
            if not with_room[room]:
                rooms &= ~(1 << room)
        else:
            room, number = capacity, len(bins)
            bins.append([])
        bins[number].append(item)
        left = room - size
        if left >= LEAST_TOKENS:
            with_room[left].append(number)
            rooms |= 1 << left
    return bins


def fill(
    stream: np.ndarray,
    lengths: np.ndarray,
    parts: Parts,
    sequence_length: int,
    given: Sequence[int] | np.ndarray | None = None,
) -> Iterator[Rows]:
    """Writes parts of documents into rows; yields blocks of them.

    Args:
        stream: The tokens of all documents, one after the other.
        lengths: Tokens of each document.
        parts: Where they go.
        sequence_length: T.
        given: Of each document, the tokens it begins with that are not to be predicted: bos and a
            prompt. None: all but bos are.

    Yields:
        Integer arrays [n, T + 1] by name:
        `tokens`; 0 where there is none.
        `segments`: 1, 2, 3... for each part in the row; 0 is padding.
        `positions`: from 0 in each segment of the row, also where a document goes on from another
        row; 0 in padding.
        `answers`, with `given` only: 1 where a token is to be predicted; else 0.
    """
    begins = np.cumsum(lengths, dtype=np.int64) - lengths
    order = np.lexsort((parts.first_token, parts.row))
    document, start, tokens, row, first = (column[order] for column in parts)
    num_rows = int(row[-1]) + 1 if len(row) else 0
    segment = np.arange(len(row)) - np.searchsorted(row, row, side="left") + 1
    block = max(1, min(BLOCK_ROWS, BLOCK_TOKENS // (sequence_length + 1)))
    for first_row in range(0, num_rows, block):
        last_row = min(first_row + block, num_rows)
        chosen = slice(*np.searchsorted(row, [first_row, last_row]))
        sizes = tokens[chosen]
        place = _within(sizes)
        target = np.repeat(row[chosen] - first_row, sizes), np.repeat(first[chosen], sizes) + place
        inside = np.repeat(start[chosen], sizes) + place
        number = np.repeat(document[chosen], sizes)
        values = {
            "tokens": stream[begins[number] + inside],
            "segments": np.repeat(segment[chosen], sizes),
            "positions": place,
        }
        if given is not None:
            values["answers"] = inside >= np.asarray(given, np.int64)[number]
        shape = last_row - first_row, sequence_length + 1
        yield {name: _placed(value, target, shape) for name, value in values.items()}


def pack(
    documents: Sequence[np.ndarray], sequence_length: int, given: Sequence[int] | None = None
) -> Iterator[Rows]:
    """Packs documents one after the other; yields blocks of rows, see `fill`."""
    if documents:
        lengths = np.array([len(document) for document in documents], np.int64)
        parts = stream_parts(lengths, sequence_length)
        yield from fill(np.concatenate(documents), lengths, parts, sequence_length, given)


def unpack(blocks: Iterable[Rows]) -> Iterator[np.ndarray]:
    """Rebuilds the documents from all rows of a shard, in order: the inverse of `pack`."""
    pieces: list[np.ndarray] = []
    for row, (tokens, segments) in enumerate(_rows(blocks)):
        used = int(np.count_nonzero(segments))
        borders = 1 + np.flatnonzero(np.diff(segments[:used]))
        parts = np.split(tokens[:used], borders)
        if row:
            parts[0] = parts[0][1:]  # the token shared with the row before
        pieces.append(parts[0])
        for part in parts[1:]:
            yield np.concatenate(pieces)
            pieces = [part]
    if pieces:
        yield np.concatenate(pieces)


def segments_of(blocks: Iterable[Rows]) -> Iterator[np.ndarray]:
    """The tokens of each segment of each row.

    Where rows are packed by best fit these are the documents, but those longer than a row in pieces
    that overlap by a token.
    """
    for tokens, segments in _rows(blocks):
        used = int(np.count_nonzero(segments))
        if used:
            yield from np.split(tokens[:used], 1 + np.flatnonzero(np.diff(segments[:used])))


def _placed(
    values: np.ndarray, target: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    column = np.zeros(shape, np.int64)
    column[target] = values
    return column


def _within(counts: np.ndarray) -> np.ndarray:
    """0, 1, 2... anew for each count.

    >>> _within(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def _rows(blocks: Iterable[Rows]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for block in blocks:
        yield from zip(block["tokens"], block["segments"], strict=True)
