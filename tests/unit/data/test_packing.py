"""Packing: every target once, constant shapes, and the documents come back."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_keras.data import packing

document_lists = st.lists(
    st.lists(st.integers(4, 60_000), max_size=30).map(lambda ids: np.array([2, *ids, 3])),
    max_size=8,
)
lengths = st.integers(2, 12)


def pack(documents, length):
    blocks = list(packing.pack(documents, length))
    names = ("tokens", "segments", "positions")
    return {name: np.concatenate([block[name] for block in blocks]) for name in names}


def pack_slowly(documents, length):
    """The definition, token by token: an oracle without any array arithmetic."""
    stream = [(token, number) for number, ids in enumerate(documents) for token in ids]
    rows = []
    for start in range(0, len(stream) - 1, length):
        row, first = [], None
        for token, number in stream[start : start + length + 1]:
            if first is None or number != row[-1][3]:
                first = len(row)
            segment = number - stream[start][1] + 1
            row.append((token, segment, len(row) - first, number))
        row += [(0, 0, 0, None)] * (length + 1 - len(row))
        rows.append(row)
    return {
        name: np.array([[cell[place] for cell in row] for row in rows])
        for place, name in enumerate(("tokens", "segments", "positions"))
    }


@given(document_lists.filter(bool), lengths)
def test_rows_are_what_their_definition_says(documents, length):
    packed, expected = pack(documents, length), pack_slowly(documents, length)
    for name, column in expected.items():
        np.testing.assert_array_equal(packed[name], column, name)


@given(document_lists.filter(bool), lengths)
def test_every_target_is_predicted_exactly_once(documents, length):
    """A target is the next token of the same segment: all tokens of a document but its first."""
    packed = pack(documents, length)
    tokens, segments = packed["tokens"], packed["segments"]
    same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    pairs = np.stack([tokens[:, :-1][same], tokens[:, 1:][same]], axis=1)
    expected = [(a, b) for ids in documents for a, b in itertools.pairwise(ids)]
    assert pairs.tolist() == [list(pair) for pair in expected]


@given(document_lists, lengths)
def test_unpacking_gives_the_documents_back(documents, length):
    unpacked = list(packing.unpack(packing.pack(documents, length)))
    assert [ids.tolist() for ids in unpacked] == [ids.tolist() for ids in documents]


@given(document_lists, lengths)
def test_every_row_has_the_same_length_and_their_number_is_known_before(documents, length):
    blocks = list(packing.pack(documents, length))
    shapes = {column.shape[1] for block in blocks for column in block.values()}
    assert shapes <= {length + 1}
    rows = sum(len(block["tokens"]) for block in blocks)
    assert rows == packing.count_rows(sum(map(len, documents)), length)


def test_many_rows_come_in_blocks_that_join(monkeypatch):
    documents = [np.array([2, *range(4, 104), 3])] * 5
    whole = pack(documents, 4)
    monkeypatch.setattr(packing, "BLOCK_ROWS", 7)
    assert len(list(packing.pack(documents, 4))) > 10
    for name, column in pack(documents, 4).items():
        np.testing.assert_array_equal(column, whole[name])


def test_a_long_document_starts_again_at_position_0_in_each_row():
    packed = pack([np.arange(2, 12)], 4)
    assert packed["positions"].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 0, 0, 0]]
    assert packed["segments"].tolist() == [[1] * 5, [1] * 5, [1, 1, 0, 0, 0]]
    assert packed["tokens"][:, 0].tolist() == [2, 6, 10]  # each the last of the row before


class TestBestFit:
    """Against the definition: capacities, counts of rows, and every target exactly once."""

    def rows(self, documents, length, given=None):
        lengths = np.array([len(ids) for ids in documents])
        parts = packing.best_fit_parts(lengths, length)
        blocks = list(packing.fill(np.concatenate(documents), lengths, parts, length, given))
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    @given(document_lists.filter(bool), lengths)
    def test_every_target_is_predicted_exactly_once(self, documents, length):
        """All tokens of a document but its first, also where it was cut."""
        rows = self.rows(documents, length)
        tokens, segments = rows["tokens"], rows["segments"]
        same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
        found = np.stack([tokens[:, :-1][same], tokens[:, 1:][same]], axis=1)
        expected = [pair for ids in documents for pair in itertools.pairwise(ids.tolist())]
        assert sorted(map(tuple, found.tolist())) == sorted(expected)

    @given(document_lists.filter(bool), lengths)
    def test_what_fits_a_row_is_not_cut(self, documents, length):
        found = [ids.tolist() for ids in packing.segments_of([self.rows(documents, length)])]
        for ids in documents:
            if len(ids) <= length + 1:
                assert ids.tolist() in found
            else:
                pieces = range(0, len(ids) - 1, length)
                assert all(ids[at : at + length + 1].tolist() in found for at in pieces)

    @given(document_lists.filter(bool), lengths)
    def test_segments_count_up_and_positions_start_again(self, documents, length):
        rows = self.rows(documents, length)
        for tokens, segments, positions in zip(*rows.values(), strict=True):
            used = int(np.count_nonzero(segments))
            assert not tokens[used:].any()
            assert not positions[used:].any()
            sizes = [len(list(group)) for _, group in itertools.groupby(segments[:used].tolist())]
            assert sorted(set(segments[:used].tolist())) == list(range(1, len(sizes) + 1))
            assert positions[:used].tolist() == [n for size in sizes for n in range(size)]

    @given(st.lists(st.integers(2, 20), min_size=1, max_size=40))
    def test_it_is_best_fit_decreasing(self, sizes):
        """Against the definition, looking at every bin."""
        bins: list[list[int]] = []
        for item in sorted(range(len(sizes)), key=lambda each: -sizes[each]):
            room = {n: 20 - sum(sizes[each] for each in held) for n, held in enumerate(bins)}
            fitting = [n for n in room if room[n] >= sizes[item]]
            if fitting:
                bins[min(fitting, key=lambda n: room[n])].append(item)
            else:
                bins.append([item])
        found = packing.best_fit(sizes, 20)
        assert sorted(each for held in found for each in held) == list(range(len(sizes)))
        assert len(found) == len(bins)
        filled = sorted(sum(sizes[each] for each in held) for held in found)
        assert filled == sorted(sum(sizes[each] for each in held) for held in bins)

    def test_the_rows_of_a_small_case(self):
        documents = [np.arange(10, 13), np.arange(20, 24), np.arange(30, 32), np.arange(40, 47)]
        rows = self.rows(documents, 4, given=[1, 3, 1, 1])
        assert rows["tokens"].tolist() == [
            [10, 11, 12, 0, 0],
            [20, 21, 22, 23, 0],
            [30, 31, 44, 45, 46],
            [40, 41, 42, 43, 44],
        ]
        assert rows["segments"].tolist() == [
            [1, 1, 1, 0, 0],
            [1, 1, 1, 1, 0],
            [1, 1, 2, 2, 2],
            [1, 1, 1, 1, 1],
        ]
        assert rows["answers"].tolist() == [
            [0, 1, 1, 0, 0],
            [0, 0, 0, 1, 0],
            [0, 1, 1, 1, 1],
            [0, 1, 1, 1, 1],
        ]

    def test_a_hundred_thousand_documents_leave_little_room(self):
        """The published finding: next to no padding, where lengths are many."""
        lengths = np.random.default_rng(0).lognormal(5.5, 1.0, 100_000).astype(int) + 2
        parts = packing.best_fit_parts(lengths, 2048)
        places = (int(parts.row.max()) + 1) * 2049
        assert 1 - parts.tokens.sum() / places < 0.001


@given(document_lists.filter(bool), lengths)
def test_parts_of_a_stream_say_where_every_token_lies(documents, length):
    rows = pack(documents, length)
    parts = packing.stream_parts(np.array([len(ids) for ids in documents]), length)
    rebuilt = [np.zeros(len(ids), int) for ids in documents]
    for document, start, tokens, row, first in zip(*parts, strict=True):
        rebuilt[document][start : start + tokens] = rows["tokens"][row, first : first + tokens]
    assert [ids.tolist() for ids in rebuilt] == [ids.tolist() for ids in documents]
    assert int(parts.tokens.sum()) == int(np.count_nonzero(rows["segments"]))
