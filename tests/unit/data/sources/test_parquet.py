"""Parquet and Arrow tables, written by pyarrow in every way that it can."""

import datetime
import resource
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from pipelines.sources import KINDS, Text, Unreadable, arrow, parquet

TEXTS = ["one", "zwei\n– 2", "", "one", "three " * 50]


def save(path, table, **options):
    pq.write_table(table, path, **options)
    return path


class TestTypes:
    @pytest.mark.parametrize(
        "kind",
        [
            *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()),
            *(pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string())),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("use_dictionary", [True, False])
    def test_strings_of_every_kind(self, read, tmp_path, kind, use_dictionary):
        column = pa.array(TEXTS)
        column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
        table = pa.table({"text": column.cast(kind)})
        path = save(tmp_path / "a.parquet", table, use_dictionary=use_dictionary)
        assert read(path, "parquet") == [Text(text) for text in TEXTS]

    @pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_every_compression_and_page(self, read, tmp_path, compression, version):
        table = pa.table({"text": TEXTS * 100})
        path = save(
            tmp_path / "a.parquet",
            table,
            compression=compression,
            data_page_version=version,
            row_group_size=70,
            data_page_size=100,
            write_page_checksum=True,
        )
        assert read(path, "parquet") == [Text(text) for text in TEXTS * 100]

    def test_nested_fields_lists_and_moments(self, read, tmp_path):
        table = pa.table(
            {
                "text": ["a", "b"],
                "meta": [{"pile_set_name": "ArXiv", "x": {"lang": "en"}}, None],
                "licences": [["MIT", "ISC"], []],
                "when": pa.array(
                    [datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC), None],
                    pa.timestamp("us", "UTC"),
                ),
                "id": pa.array([7, 8], pa.int64()),
                "unused": [b"\xff" * 10, b""],
            }
        )
        columns = {
            **{"subset": "meta.pile_set_name", "language": "meta.x.lang", "licence": "licences"},
            **{"timestamp": "when", "name": "id", "url": "no.such.column"},
        }
        assert read(save(tmp_path / "a.parquet", table), "parquet", columns=columns) == [
            Text("a", None, None, "ArXiv", "en", "MIT AND ISC", "2001-02-03T00:00:00+00:00", "7"),
            Text("b", name="8"),
        ]

    def test_nested_texts_and_targets(self, read, tmp_path):
        table = pa.table({"translation": [{"en": "one", "fr": "un"}, {"en": "two", "fr": None}]})
        columns = {"text": "translation.en", "target": "translation.fr"}
        assert read(save(tmp_path / "a.parquet", table), "parquet", columns=columns) == [
            Text("one", target="un"),
            Unreadable("expected a string under 'translation.fr', found NoneType", name="row 2"),
        ]

    def test_moments_beyond_the_calendar_are_as_if_absent(self, read, tmp_path):
        table = pa.table({"text": ["a"], "t": pa.array([2**62], pa.timestamp("us"))})
        path = save(tmp_path / "a.parquet", table)
        assert read(path, "parquet", columns={"timestamp": "t"}) == [Text("a")]

    @settings(max_examples=40)
    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=20))
    def test_any_texts_come_back(self, tmp_path_factory, texts):
        path = tmp_path_factory.mktemp("parquet") / "a.parquet"
        save(path, pa.table({"text": pa.array(texts, pa.string())}), row_group_size=3)
        source = config.Source(name="s", kind="parquet", path="unused")
        assert list(KINDS["parquet"].read(path, source)) == [Text(text) for text in texts]


class TestBadRows:
    def test_they_cost_only_themselves_and_are_named(self, read, tmp_path):
        column = pa.array([b"good", None, b"a\0b", b"\xff", b"good"], pa.binary())
        path = save(tmp_path / "a.parquet", pa.table({"text": column}), row_group_size=2)
        assert read(path, "parquet") == [
            Text("good"),
            Unreadable("expected a string under 'text', found NoneType", name="row 2"),
            Unreadable("holds a NUL character: binary data, or another encoding", name="row 3"),
            Unreadable("not valid utf-8 under 'text'", name="row 4"),
            Text("good"),
        ]

    def test_a_string_that_is_no_utf_8(self, read, tmp_path):
        raw = pa.array([b"good", b"\xff\xfe", b"fine"]).cast(pa.binary())
        column = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
        path = save(tmp_path / "a.parquet", pa.table({"text": column}), use_dictionary=False)
        assert read(path, "parquet") == [
            Text("good"),
            Unreadable("not valid utf-8 under 'text'", name="row 2"),
            Text("fine"),
        ]

    def test_a_cell_over_the_cap_is_dead(self, read, tmp_path, monkeypatch):
        monkeypatch.setattr("pipelines.sources.tables.MAXIMUM_RECORD_BYTES", 100)
        table = pa.table({"text": ["x" * 100, "y" * 101, "z"], "url": ["u" * 101, "v", "w"]})
        assert read(save(tmp_path / "a.parquet", table), "parquet") == [
            Text("x" * 100),
            Unreadable("longer than 100 bytes", name="row 2"),
            Text("z", url="w"),
        ]


class TestBadTables:
    @pytest.mark.parametrize(
        ("table", "error"),
        [
            (pa.table({"body": ["x"]}), "expected a column 'text', found no such column"),
            (pa.table({"text": [1]}), "expected strings in column 'text', found int64"),
            (pa.table({"text": [["x"]]}), "expected strings in column 'text', found list"),
            (
                pa.table({"text": [{"secret": "x"}]}),
                "expected strings in column 'text', found struct",
            ),
        ],
    )
    @pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
    def test_without_texts_they_are_dead(self, read, tmp_path, table, error, name):
        path = tmp_path / name
        if name == "a.parquet":
            save(path, table)
        else:
            write_arrow(path, table)
        kind = "parquet" if name == "a.parquet" else "hugging_face"
        assert read(path, kind) == [Unreadable(error)]

    def test_an_empty_table_holds_nothing(self, read, tmp_path):
        empty = pa.table({"text": pa.array([], pa.string())})
        assert read(save(tmp_path / "a.parquet", empty), "parquet") == []

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (b"", "not a Parquet file"),
            (b'{"text": "secret"}\n', "not a Parquet file"),
            (b"PAR1", "cut short"),
            (b"PAR1 secret PAR1", "its footer is damaged"),
            (b"PAR1" + b"\xff" * 8 + b"PAR1", "its footer is damaged"),
            (b"PARE secret PARE", "encrypted"),
        ],
    )
    def test_what_is_no_table_is_dead(self, read, write, data, error):
        (found,) = read(write(data, "a.parquet"), "parquet")
        assert error in found.error
        assert "secret" not in found.error

    @pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
    def test_a_file_cut_short_is_dead(self, read, tmp_path, keep):
        path = save(tmp_path / "a.parquet", pa.table({"text": TEXTS * 100}))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        assert read(path, "parquet") == [Unreadable("cut short: it ends without its footer")]

    def test_a_damaged_row_group_leaves_the_others(self, read, tmp_path):
        table = pa.table({"text": [f"text {i}" for i in range(300)]})
        path = save(
            tmp_path / "a.parquet",
            table,
            row_group_size=100,
            compression="zstd",
            write_page_checksum=True,
        )
        column = pq.ParquetFile(path).metadata.row_group(1).column(0)
        data = bytearray(path.read_bytes())
        data[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
        path.write_bytes(bytes(data))
        found = read(path, "parquet")
        assert [each.text for each in found if isinstance(each, Text)] == [
            f"text {i}" for i in (*range(100), *range(200, 300))
        ]
        assert [each for each in found if isinstance(each, Unreadable)] == [
            Unreadable("row group 1 is damaged from here on", name="row 101")
        ]

    def test_flipped_bits_never_stop_the_job(self, read, tmp_path):
        table = pa.table({"text": [f"text {i}" for i in range(40)], "url": ["u"] * 40})
        path = save(tmp_path / "a.parquet", table, row_group_size=10, write_page_checksum=True)
        whole, noticed = path.read_bytes(), 0
        for index in range(0, len(whole), 5):
            data = bytearray(whole)
            data[index] ^= 1 << index % 8
            path.write_bytes(bytes(data))
            found = read(path, "parquet")
            noticed += any(isinstance(each, Unreadable) for each in found)
        assert noticed > 0.3 * len(whole) / 5


class TestMemory:
    def test_a_bomb_is_not_unpacked(self, read, tmp_path):
        """Two texts of 128 MiB in a few kilobytes."""
        table = pa.table({"text": ["x" * 2**27, "y" * 2**27]})
        path = save(tmp_path / "a.parquet", table, use_dictionary=False, compression="zstd")
        del table
        assert path.stat().st_size < 100_000
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        (found,) = read(path, "parquet")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert "decompression bomb" in found.error
        assert grown * 1024 < 50 * 2**20

    def test_a_repeated_text_is_not_decoded_everywhere_at_once(self, read, tmp_path):
        """Two thousand rows of one text of a mebibyte are two gigabytes if each is decoded."""
        text = pa.array(["x" * 2**20]).dictionary_encode()
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), text.dictionary)
        path = save(tmp_path / "a.parquet", pa.table({"text": column}))
        assert path.stat().st_size < 200_000
        before = pa.total_allocated_bytes()
        source = config.Source(name="s", kind="parquet", path="unused")
        most = count = 0
        for _ in parquet.read(path, source):
            most, count = max(most, pa.total_allocated_bytes() - before), count + 1
        assert count == 2_000
        assert most < 150 * 2**20

    def test_rows_are_read_a_few_at_a_time(self, read, tmp_path):
        """64 MiB in one row group take a fraction of that."""
        texts = [f"{i:07d}" + "y" * 65_000 for i in range(1_000)]
        table = pa.table({"text": texts})
        path = save(tmp_path / "a.parquet", table, use_dictionary=False, write_batch_size=10)
        del texts, table
        source = config.Source(name="s", kind="parquet", path="unused")
        before, most = pa.total_allocated_bytes(), 0
        tracemalloc.start()
        for _ in parquet.read(path, source):
            most = max(most, pa.total_allocated_bytes() - before)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 32 * 2**20
        assert peak < 4 * 2**20


def write_arrow(path, table, *, stream=True, rows=1_000):
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


class TestArrow:
    @pytest.mark.parametrize("stream", [True, False])
    def test_both_formats(self, read, tmp_path, stream):
        table = pa.table(
            {"text": TEXTS, "meta": [{"set": str(i)} for i in range(5)], "n": range(5)}
        )
        path = write_arrow(tmp_path / "a.arrow", table, stream=stream, rows=2)
        found = read(path, "hugging_face", columns={"subset": "meta.set"})
        assert found == [Text(text, subset=str(i)) for i, text in enumerate(TEXTS)]

    @pytest.mark.parametrize("keep", [0.3, 0.7])
    def test_a_stream_cut_short_keeps_its_batches(self, read, tmp_path, texts, dead, keep):
        table = pa.table({"text": [f"text {i}" for i in range(1_000)]})
        path = write_arrow(tmp_path / "a.arrow", table, rows=10)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        found = read(path, "hugging_face")
        kept = texts(found)
        assert kept == [f"text {i}" for i in range(len(kept))]
        assert 200 < len(kept) < 800
        (letter,) = dead(found)
        assert "damaged or cut short" in letter.error
        assert letter.name == f"row {len(kept) + 1}"

    def test_flipped_bits_never_stop_the_job(self, read, tmp_path):
        path = write_arrow(tmp_path / "a.arrow", pa.table({"text": TEXTS}), rows=2)
        whole = path.read_bytes()
        for index in range(0, len(whole), 3):
            data = bytearray(whole)
            data[index] ^= 1 << index % 8
            path.write_bytes(bytes(data))
            for each in read(path, "hugging_face"):
                assert isinstance(each, Text | Unreadable)

    @pytest.mark.parametrize(
        "data", [b"", b"rubbish", b"ARROW1\0\0rubbish", b"\xff\xff\xff\xff" * 9]
    )
    def test_rubbish_is_dead(self, read, write, data):
        (found,) = read(write(data, "a.arrow"), "hugging_face")
        assert isinstance(found, Unreadable)

    def test_offsets_that_lead_elsewhere_are_noticed(self, tmp_path):
        """Read as they stand they would be somebody else's memory."""
        bad = pa.StringArray.from_buffers(
            2, pa.py_buffer(b"\0\0\0\0\xff\xff\xff\x0f\x02\0\0\0"), pa.py_buffer(b"ab")
        )
        path = write_arrow(tmp_path / "a.arrow", pa.table({"text": bad}))
        source = config.Source(name="s", kind="hugging_face", path="unused")
        (found,) = arrow.read(path, source)
        assert found == Unreadable("damaged or cut short from here on", name="row 1")
