"""Large files read piece by piece: together the pieces are the file, once and in order."""

import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras import config
from pipelines.sources import KINDS, Passed, Piece, Text, Unreadable, compressed


def in_pieces(path, kind, of, root="unused"):
    source = config.Source(name="s", kind=kind, path=str(root))
    assert path.name.endswith(KINDS[kind].in_pieces)
    return [list(KINDS[kind].read(path, source, Piece(place, of))) for place in range(of)]


def whole(path, kind):
    return list(KINDS[kind].read(path, config.Source(name="s", kind=kind, path="unused")))


def flat(pieces):
    return list(itertools.chain.from_iterable(pieces))


def without_lines(found):
    return [each._replace(line=None) if isinstance(each, Unreadable) else each for each in found]


parts = st.one_of(
    st.text(max_size=20).map(lambda text: json.dumps({"text": text}).encode()),
    st.sampled_from([b"", b"\n", b"\r", b"{}", b"\xff", b"\xef\xbb\xbf", b"not json", b" " * 30]),
)


@given(st.lists(parts, max_size=12), st.booleans(), st.integers(1, 12), st.integers(1, 9))
def test_lines_are_those_of_the_whole_file(tmp_path_factory, lines, ended, of, chunk):
    """Of any bytes, and whatever is read at once; their places are those in the file."""
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" * ended)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed, "PLAIN_CHUNK_BYTES", chunk)
        found = flat(in_pieces(path, "jsonl", of))
    assert without_lines(found) == without_lines(whole(path, "jsonl"))


def test_lines_of_the_first_piece_alone_have_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\nbad\n' * 2)
    (_, first), (_, second) = in_pieces(path, "jsonl", 2)
    assert (first.line, first.offset) == (2, 14)
    assert (second.line, second.offset) == (None, 32)


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_rows_of_a_table_are_those_of_the_whole(tmp_path, of):
    """A table of 5 groups; a group has a row without a text, which keeps its number."""
    texts = [None if number == 7 else f"text {number}" for number in range(10)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts}), path, row_group_size=2)
    pieces = in_pieces(path, "parquet", of)
    assert flat(pieces) == whole(path, "parquet")
    assert [each.name for each in flat(pieces) if isinstance(each, Unreadable)] == ["row 8"]
    assert max(len(piece) for piece in pieces) <= -(-5 // of) * 2


def test_a_file_that_is_none_is_dead_once(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no table")
    first, *others = in_pieces(path, "parquet", 3)
    assert first == whole(path, "parquet")
    assert len(first) == 1
    assert others == [[], []]


def test_a_held_out_split_is_passed_over_once(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text('{"text": "a"}\n' * 9)
    pieces = in_pieces(path, "hugging_face", 3, root=tmp_path)
    assert pieces == [[Passed("held_out_split")], [], []]
    assert flat(in_pieces(path, "hugging_face", 3)) == [Text("a")] * 9
