"""Readers: what they take for text, and where they say reading failed."""

import gzip
import itertools
import json
import random
import resource
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llm_keras import config
from pipelines.sources import KINDS, Text, Unreadable, compressed, json_lines

MIB = 2**20


def source(kind, **settings):
    return config.Source(name="s", kind=kind, path="unused", **settings)


def read(path, kind, **settings):
    return list(KINDS[kind].read(path, source(kind, **settings)))


def texts(found):
    return [each.text for each in found if isinstance(each, Text)]


def dead(found):
    return [each for each in found if isinstance(each, Unreadable)]


@pytest.fixture
def write(tmp_path):
    def _write(data, name="file"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return _write


class TestTextFiles:
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")))
    def test_a_text_is_what_was_written(self, tmp_path_factory, text):
        path = tmp_path_factory.mktemp("text") / "a.txt"
        path.write_bytes(text.encode())
        assert read(path, "text") == [Text(text)]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-8"])
    def test_a_byte_order_mark_is_no_text(self, write, encoding):
        mark = "" if encoding in ("utf-8-sig", "utf-16") else "\ufeff"
        path = write((mark + "héllo").encode(encoding))
        assert read(path, "text", encoding=encoding) == [Text("héllo")]

    def test_latin_1_is_read_as_the_source_says(self, write):
        assert read(write("héllo".encode("latin-1")), "text", encoding="latin-1") == [Text("héllo")]

    def test_a_wrong_encoding_is_dead_at_its_byte(self, write):
        found = read(write("The café".encode("latin-1")), "text")
        assert found == [Unreadable("not valid utf-8", offset=7)]

    def test_a_nul_byte_is_dead_at_its_byte(self, write):
        (found,) = read(write(b"text\0text"), "text")
        assert found.offset == 4
        assert "NUL character" in found.error

    def test_a_picture_is_dead(self, write):
        (found,) = read(write(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "text")
        assert found == Unreadable("not valid utf-8", offset=0)

    def test_a_file_over_the_cap_is_dead_and_not_read_whole(self, write, monkeypatch):
        monkeypatch.setattr("pipelines.sources.text_files.MAXIMUM_RECORD_BYTES", 10)
        assert texts(read(write(b"x" * 10), "text")) == ["x" * 10]
        (found,) = read(write(b"x" * 11), "text")
        assert "larger than 10 bytes" in found.error

    def test_bidirectional_and_private_characters_are_text(self, write):
        odd = "a\u202eb\ue000\U0010ffff\ufffd"
        assert read(write(odd.encode()), "text") == [Text(odd)]


def lines_of(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


PACK = {
    "a.jsonl": lambda data: data,
    "a.jsonl.gz": gzip.compress,
    "a.jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


class TestJsonLines:
    @pytest.mark.parametrize("name", PACK)
    def test_plain_gzip_and_zstandard_give_the_same_texts(self, write, name):
        data = lines_of({"text": "one\n1"}, {"text": "zwei – 2", "url": "http://x/"}, {"text": ""})
        expected = [Text("one\n1"), Text("zwei – 2", "http://x/"), Text("")]
        assert read(write(PACK[name](data), name), "jsonl") == expected

    @pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
    def test_members_and_frames_follow_each_other(self, write, name):
        pack = PACK[name]
        data = pack(lines_of({"text": "one"})) + pack(b"") + pack(lines_of({"text": "two"}))
        assert texts(read(write(data, name), "jsonl")) == ["one", "two"]

    def test_zeros_after_gzip_data_are_padding(self, write):
        data = gzip.compress(lines_of({"text": "one"})) + bytes(5000)
        assert read(write(data, "a.gz"), "jsonl") == [Text("one")]

    def test_blank_lines_crlf_and_a_missing_last_line_feed_are_fine(self, write):
        data = b'\xef\xbb\xbf{"text": "one"}\r\n\r\n  \n{"text": "two"}'
        assert read(write(data), "jsonl") == [Text("one"), Text("two")]

    def test_another_text_field(self, write):
        assert read(write(b'{"body": "x", "text": 3}'), "jsonl", text_field="body") == [Text("x")]

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            (b'{"text": "secret', "not valid JSON: Unterminated string starting at at character 9"),
            (b'{"text": "secret"} x', "not valid JSON: Extra data at character 19"),
            (b'["secret"]', "expected a JSON object, found list"),
            (b'"secret"', "expected a JSON object, found str"),
            (b'{"body": "secret"}', "expected a string under 'text', found no such key"),
            (b'{"text": null}', "expected a string under 'text', found NoneType"),
            (b'{"text": ["secret"]}', "expected a string under 'text', found list"),
            (b'{"text": "secret\xff"}', "not valid utf-8"),
            (b'{"text": "secret\\u0000"}', "holds a NUL character"),
            (b'{"text": "secret\\ud800"}', "holds half a surrogate pair"),
            (b"[" * 100_000, "not valid JSON: too deep"),
            (b'{"a":' * 100_000, "not valid JSON: too deep"),
            (b'{"text": "secret", "n": ' + b"9" * 5_000 + b"}", "a number too long"),
        ],
        ids=lambda value: value[:24] if isinstance(value, bytes) else "",
    )
    def test_a_bad_line_costs_only_itself_and_quotes_nothing(self, write, line, error):
        good = b'{"text": "good"}\n'
        found = read(write(good + line + b"\n" + good), "jsonl")
        assert texts(found) == ["good", "good"]
        (letter,) = dead(found)
        assert error in letter.error
        assert letter.line == 2
        assert len(good) <= letter.offset <= len(good) + len(line)
        assert "secret" not in letter.error

    def test_a_wrong_encoding_is_dead_at_its_byte_of_the_file(self, write):
        found = read(write(b'{"text": "a"}\n{"text": "\xe9"}\n'), "jsonl")
        assert dead(found) == [Unreadable("not valid utf-8", line=2, offset=24)]

    def test_a_line_over_the_cap_is_dead_and_the_rest_goes_on(self, write, monkeypatch):
        monkeypatch.setattr(
            json_lines,
            "lines",
            lambda pieces, lines=json_lines.lines: lines(pieces, maximum_bytes=20),
        )
        data = lines_of({"text": "a"}, {"text": "b" * 100}, {"text": "c"})
        found = read(write(data), "jsonl")
        assert texts(found) == ["a", "c"]
        assert [(letter.line, letter.offset) for letter in dead(found)] == [(2, 14)]

    def test_a_huge_line_takes_little_memory(self, write):
        """A line of 64 MiB is passed over in pieces."""
        path = write(b'{"text": "' + b"x" * (64 * MIB) + b'"}\n' + lines_of({"text": "after"}))
        tracemalloc.start()
        found = read(path, "jsonl")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert texts(found) == ["after"]
        assert "longer than 16777216 bytes" in dead(found)[0].error
        assert peak < 40 * MIB

    @given(
        data=st.binary(max_size=60) | st.text("ab\n", max_size=60).map(str.encode),
        cuts=st.lists(st.integers(0, 60)),
        most=st.integers(1, 8),
    )
    def test_lines_are_those_of_split_however_the_stream_is_cut(self, data, cuts, most):
        borders = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(borders)]
        found = list(json_lines.lines(pieces, maximum_bytes=most))
        expected = data.split(b"\n")
        expected = expected[:-1] if expected[-1] == b"" else expected
        assert [line.data for line in found] == [
            line if len(line) <= most else None for line in expected
        ]
        assert [line.number for line in found] == list(range(1, len(expected) + 1))
        for line in found:
            if line.data is not None:
                assert data[line.offset : line.offset + len(line.data)] == line.data


ROWS = [
    {"text": f"document {i} " + "".join(random.Random(i).choices("abcdefgh ", k=500))}
    for i in range(200)
]
EXPECTED = [row["text"] for row in ROWS]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
class TestDamagedFiles:
    @pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
    def test_a_file_cut_short_keeps_its_intact_records(self, write, name, fraction):
        data = PACK[name](lines_of(*ROWS))
        found = read(write(data[: int(len(data) * fraction)], name), "jsonl")
        kept = texts(found)
        assert kept == EXPECTED[: len(kept)]
        assert len(kept) < len(EXPECTED)
        (letter,) = dead(found)
        assert "cut short" in letter.error
        assert letter.offset >= len(lines_of(*ROWS[: len(kept)]))

    @pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.999])
    def test_a_flipped_bit_costs_its_member_and_what_follows(self, write, name, part):
        first, second = PACK[name](lines_of(*ROWS)), bytearray(PACK[name](lines_of({"text": "x"})))
        damaged = bytearray(PACK[name](lines_of(*ROWS)))
        damaged[int(len(damaged) * part)] ^= 1
        found = read(write(bytes(first + damaged + second), name), "jsonl")
        assert texts(found) == EXPECTED
        (letter,) = dead(found)
        assert "damaged" in letter.error or "cut short" in letter.error

    def test_every_single_flip_is_noticed(self, write, name):
        """No flipped bit of a small file passes as the text it was not."""
        data = PACK[name](lines_of({"text": "the one and only text"}))
        noticed = 0
        for index in range(len(data)):
            flipped = bytearray(data)
            flipped[index] ^= 0x10
            found = read(write(bytes(flipped), name), "jsonl")
            assert texts(found) in ([], ["the one and only text"])
            noticed += bool(dead(found))
        assert noticed > 0.7 * len(data)  # the header's time and system bytes say nothing

    def test_not_compressed_at_all(self, write, name):
        found = read(write(lines_of({"text": "plain"}), name), "jsonl")
        assert not texts(found)
        assert "damaged" in dead(found)[0].error

    def test_an_empty_file_holds_nothing(self, write, name):
        assert read(write(b"", name), "jsonl") == []

    def test_rubbish_after_the_data_is_dead(self, write, name):
        found = read(write(PACK[name](lines_of({"text": "one"})) + b"rubbish", name), "jsonl")
        assert texts(found) == ["one"]
        assert len(dead(found)) == 1

    def test_a_bomb_stops_at_the_cap(self, write, name, monkeypatch):
        """A megabyte of zeros a few hundred bytes long, with caps made smaller to match."""
        monkeypatch.setattr(compressed, "EXPANSION_ALWAYS_ALLOWED", MIB // 4)
        path = write(PACK[name](bytes(MIB)), name)
        assert path.stat().st_size < 2_000
        found = read(path, "jsonl")
        assert not texts(found)
        assert "decompression bomb" in dead(found)[0].error


def test_half_a_gzip_file_holds_about_half_the_records(write):
    data = gzip.compress(lines_of(*ROWS))
    kept = texts(read(write(data[: len(data) // 2], "a.jsonl.gz"), "jsonl"))
    assert 80 < len(kept) < 120


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_real_bomb_takes_little_memory(tmp_path, suffix):
    """Ten gigabytes in a file of at most ten megabytes end at the cap."""
    path = tmp_path / f"bomb.jsonl{suffix}"
    piece = bytes(64 * MIB)
    if suffix == ".gz":
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
        rest = zlib.compressobj(9, zlib.DEFLATED, -15)
        more = rest.compress(piece) + rest.flush(zlib.Z_FULL_FLUSH)
        path.write_bytes(block + more * 40)
    else:
        path.write_bytes(zstandard.ZstdCompressor().compress(piece) * 1_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (letter,) = read(path, "jsonl")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert "decompression bomb" in letter.error
    assert grown * 1024 < 300 * MIB


def test_readers_are_found_by_every_kind_of_the_run_file():
    kinds = config.Source.model_fields["kind"].annotation.__args__
    assert set(KINDS) == set(kinds)


def test_a_reader_streams(tmp_path):
    """The first text is there before the rest of the file was parsed."""
    path = Path(tmp_path, "a.jsonl")
    path.write_bytes(lines_of({"text": "first"}) + b"not JSON\n" * 100_000)
    assert next(iter(KINDS["jsonl"].read(path, source("jsonl")))) == Text("first")
