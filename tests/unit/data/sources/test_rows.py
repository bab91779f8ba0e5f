"""Fields of rows: the shapes that published corpora have, and what odd fields count for."""

import datetime
import gzip
import json

import pytest
import zstandard

from llm_keras import config
from pipelines.sources import Text, Unreadable, rows

#: As "The Pile" (Gao et al. 2020, table 1) names its parts.
PILE = [
    *("Pile-CC", "PubMed Central", "Books3", "OpenWebText2", "ArXiv", "Github", "FreeLaw"),
    *("StackExchange", "USPTO Backgrounds", "PubMed Abstracts", "Gutenberg (PG-19)"),
    *("OpenSubtitles", "Wikipedia (en)", "DM Mathematics", "Ubuntu IRC", "BookCorpus2"),
    *("EuroParl", "HackerNews", "YoutubeSubtitles", "PhilPapers", "NIH ExPorter"),
    "Enron Emails",
]


def lines_of(*rows_):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows_)


class TestPublishedShapes:
    def test_the_pile_keeps_its_22_sets(self, read, write):
        data = lines_of(*({"text": f"of {name}", "meta": {"pile_set_name": name}} for name in PILE))
        path = write(zstandard.ZstdCompressor().compress(data), "00.jsonl.zst")
        found = read(path, "jsonl", columns={"subset": "meta.pile_set_name"})
        assert len(set(PILE)) == 22
        assert found == [Text(f"of {name}", subset=name) for name in PILE]

    def test_c4(self, read, write):
        row = {"text": "T.", "timestamp": "2019-04-25T12:57:54Z", "url": "https://a.b/c"}
        path = write(gzip.compress(lines_of(row)), "c4-train.00000-of-01024.json.gz")
        assert read(path, "jsonl", columns={"timestamp": "timestamp"}) == [
            Text("T.", url="https://a.b/c", timestamp="2019-04-25T12:57:54Z")
        ]

    def test_refined_web(self, read, write):
        row = {
            **{"content": "T.", "url": "http://a.b/", "timestamp": "2013-05-18T10:42:00Z"},
            **{"dump": "CC-MAIN-2013-20", "segment": "1368696382261", "image_urls": [["u", None]]},
        }
        columns = {"text": "content", "timestamp": "timestamp", "subset": "dump"}
        assert read(write(lines_of(row), "a.jsonl"), "jsonl", columns=columns) == [
            Text("T.", "http://a.b/", None, "CC-MAIN-2013-20", None, None, "2013-05-18T10:42:00Z")
        ]

    def test_dolma(self, read, write):
        row = {
            **{"id": "x/1", "text": "T.", "source": "pes2o", "added": "2023-01-01T00:00:00Z"},
            **{"created": "2001-02-03T00:00:00Z", "version": "v2"},
            "metadata": {"license": "cc-by", "url": "http://a/", "lang": "en"},
        }
        columns = {
            **{"subset": "source", "timestamp": "created", "licence": "metadata.license"},
            **{"url": "metadata.url", "language": "metadata.lang", "name": "id"},
        }
        assert read(
            write(gzip.compress(lines_of(row)), "a.json.gz"), "jsonl", columns=columns
        ) == [
            Text("T.", "http://a/", None, "pes2o", "en", "cc-by", "2001-02-03T00:00:00Z", "x/1")
        ]  # fmt: skip

    def test_pairs_within_fields(self, read, write):
        row = {"translation": {"en": "one", "es": "uno"}}
        columns = {"text": "translation.en", "target": "translation.es"}
        path = write(lines_of(row), "a.jsonl")
        assert read(path, "jsonl", columns=columns) == [Text("one", target="uno")]

    def test_the_short_names_still_work(self, read, write):
        path = write(lines_of({"q": "one", "a": "uno", "url": "u"}), "a.jsonl")
        assert read(path, "jsonl", text_field="q", target_field="a") == [
            Text("one", url="u", target="uno")
        ]


class TestFind:
    @pytest.mark.parametrize(
        ("row", "path", "value"),
        [
            ({"a": 1}, "a", 1),
            ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
            ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
            ({"a": {"b.c": 1}}, "a.b.c", 1),
            ({"a": None}, "a", None),
        ],
    )
    def test_what_is_there(self, row, path, value):
        assert rows.find(row, path) == value

    @pytest.mark.parametrize("path", ["b", "a.b", "a.", ".a", "", ".", "c.d.e"])
    def test_what_is_not(self, path):
        assert rows.absent(rows.find({"a": 1, "c": {"d": [1]}}, path))


def text_of(**fields):
    columns = config.Columns(**{name: name for name in config.Columns.model_fields})
    return rows.to_text({"text": "T.", "target": "U."} | fields, columns)


class TestOddFields:
    @pytest.mark.parametrize(
        ("value", "plain"),
        [("x", "x"), (7, "7"), ("", None), (None, None), (True, None), (1.5, None), ([], None),
         ({"a": 1}, None), ("\ud800", None), ("a\0b", None)],
    )  # fmt: skip
    @pytest.mark.parametrize("field", ["url", "subset", "language", "licence", "name"])
    def test_what_is_no_plain_fact_is_as_if_absent(self, field, value, plain):
        assert getattr(text_of(**{field: value}), field) == plain

    @pytest.mark.parametrize(
        ("value", "expression"),
        [
            (["MIT"], "MIT"),
            (["MIT", "Apache-2.0"], "MIT AND Apache-2.0"),
            (["MIT", "MIT", None], "MIT"),
            (["MIT OR GPL-2.0", "ISC"], "(MIT OR GPL-2.0) AND ISC"),
            ([], None),
        ],
    )
    def test_several_licences_all_hold(self, value, expression):
        assert text_of(licence=value).licence == expression

    @pytest.mark.parametrize(
        ("value", "moment"),
        [
            ("2001-02-03", "2001-02-03"),
            (datetime.date(2001, 2, 3), "2001-02-03"),
            (datetime.datetime(2001, 2, 3, 4, 5), "2001-02-03T04:05:00"),
            (1999, "1999"),
            (981173106, "2001-02-03T04:05:06+00:00"),
            (981173106000, "2001-02-03T04:05:06+00:00"),
            (10**30, None),
            (True, None),
        ],
    )
    def test_moments(self, value, moment):
        assert text_of(timestamp=value).timestamp == moment

    def test_a_row_that_is_no_object(self):
        assert rows.to_text([1], config.Columns()).error == "expected a JSON object, found list"

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"target": 3}, "expected a string under 'target', found int"),
            ({"text": "a\0b"}, "holds a NUL character: binary data, or another encoding"),
            ({"text": b"\xff"}, "not valid utf-8 under 'text'"),
        ],
    )
    def test_both_texts_must_be_texts(self, fields, error):
        assert text_of(**fields) == Unreadable(error)

    def test_bytes_are_decoded_as_the_source_says(self):
        columns = config.Columns(text="t")
        assert rows.to_text({"t": "é".encode("latin-1")}, columns, "latin-1") == Text("é")
