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
