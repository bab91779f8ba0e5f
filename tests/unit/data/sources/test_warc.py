"""WARC and WET: which records are pages, and what of a damaged file is kept."""

import base64
import gzip
import hashlib
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from pipelines.sources import KINDS, Passed, Text, Unreadable, compressed, warc_bytes, warc_file

WARC_SOURCE = config.Source(name="s", kind="warc", path="unused")
DATE = "2024-03-01T12:30:05Z"


def record(kind, uri, block, *, number=0, type_="application/http; msgtype=response", **more):
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{number:012}>",
        "WARC-Date": DATE,
        "WARC-Target-URI": uri,
        "Content-Type": type_,
        "Content-Length": str(len(block)),
    } | {name.replace("_", "-"): value for name, value in more.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def http(body, *headers, status="200 OK", kind="text/html; charset=utf-8"):
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def prose(number):
    return (
        f"Page {number} tells how the river rose over the fields that year, and how the people of"
        f" the village moved their {number} boats to the hill before the water came."
    )


def html(number):
    page = f"<html><head><title>t</title></head><body><p>{prose(number)}</p></body></html>"
    return page.encode()


def page_record(number, **more):
    return record(
        "response", f"http://a.example/{number}", http(html(number)), number=number, **more
    )


def members(*records):
    return b"".join(gzip.compress(each, mtime=0) for each in records)


class TestPages:
    def test_a_page_has_address_time_and_name(self, write, read):
        path = write(page_record(7), "a.warc")
        name = "00000000-0000-4000-8000-000000000007"
        assert read(path, "warc") == [
            Text(prose(7), url="http://a.example/7", timestamp=DATE, name=name)
        ]

    def test_brackets_round_an_address_are_no_part_of_it(self, write, read):
        data = record("response", "<http://a.example/x>", http(html(1)))
        (found,) = read(write(data, "a.warc"), "warc")
        assert found.url == "http://a.example/x"

    def test_plain_text_is_as_it_came(self, write, read, texts):
        data = record("response", "http://a.example/x", http(b"a <b>\n c", kind="text/plain"))
        assert texts(read(write(data, "a.warc"), "warc")) == ["a <b>\n c"]

    @pytest.mark.parametrize("pack", [lambda each: each, gzip.compress])
    def test_records_follow_each_other(self, tmp_path, read, texts, pack):
        path = tmp_path / ("a.warc" if pack(b"x") == b"x" else "a.warc.gz")
        path.write_bytes(b"".join(pack(page_record(number)) for number in range(5)))
        assert texts(read(path, "warc")) == [prose(number) for number in range(5)]

    def test_one_member_may_hold_all_records_and_a_record_many_members(self, write, read, texts):
        data = b"".join(map(page_record, range(3)))
        one = write(gzip.compress(data), "one.warc.gz")
        pieces = [data[at : at + 100] for at in range(0, len(data), 100)]
        many = write(members(*pieces), "many.warc.gz")
        frames = zstandard.ZstdCompressor().compress(data)
        for path in (one, many, write(frames, "a.warc.zst")):
            assert texts(read(path, "warc")) == [prose(number) for number in range(3)]

    def test_line_ends_folded_fields_and_case_are_taken_as_they_come(self, write, read):
        block = http(html(1)).replace(b"\r\n", b"\n")
        data = (
            b"WARC/1.1\nwarc-type: Response\nWARC-TARGET-URI: http://a.example/\n  x\n"
            b"content-length:%d\n\n%b\n\n" % (len(block), block)
        )
        (found,) = read(write(data, "a.warc"), "warc")
        assert found == Text(prose(1), url="http://a.example/ x", name="http://a.example/ x")

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (
                record("warcinfo", None, b"software: x", type_="application/warc-fields"),
                "not_a_page",
            ),
            (record("request", "http://a.example/", b"GET / HTTP/1.1\r\n\r\n"), "not_a_page"),
            (
                record(
                    "metadata", "metadata://gnu.org/software/wget/warc/MANIFEST.txt", b"<urn:x>"
                ),
                "not_a_page",
            ),
            (
                record(
                    "resource",
                    "metadata://gnu.org/software/wget/warc/wget.log",
                    b"log",
                    type_="text/plain",
                ),
                "not_a_page",
            ),
            (record("revisit", "http://a.example/", http(b"")), "not_a_page"),
            (record("response", "dns:a.example", b"1.2.3.4", type_="text/dns"), "not_a_page"),
            (record("response", "http://a.example/", http(b"no", status="404 No")), "status"),
            (
                record("response", "http://a.example/", http(b"\x89PNG", kind="image/png")),
                "not_text",
            ),
            (record("response", "http://a.example/", http(b"\x89PNG", kind="")), "not_text"),
            (record("response", "http://a.example/", http(b"<html></html>")), "no_text"),
            (page_record(1, WARC_Truncated="length"), "truncated"),
            (page_record(1, WARC_Segment_Number="1"), "truncated"),
        ],
    )
    def test_what_is_no_page_is_passed_over(self, write, read, passed, data, reason):
        assert passed(read(write(data, "a.warc"), "warc")) == [reason]

    def test_a_page_without_type_is_one_if_it_looks_so(self, write, read, texts):
        data = record("response", "http://a.example/", http(b" <!DOCTYPE html>" + html(1), kind=""))
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]

    def test_an_interim_response_is_passed_over(self, write, read, texts):
        block = b"HTTP/1.1 100 Continue\r\n\r\n" + http(html(1))
        data = record("response", "http://a.example/", block)
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]


class TestOptOut:
    @pytest.mark.parametrize(
        "headers",
        [
            ["X-Robots-Tag: noai"],
            ["X-Robots-Tag: noindex", "X-ROBOTS-TAG: NoAI, noimageai"],
            ["X-Robots-Tag: otherbot: noml"],
            ["tdm-reservation: 1"],
            ["Content-Usage: train-ai=n"],
        ],
    )
    def test_headers(self, write, read, passed, headers):
        data = record("response", "http://a.example/", http(html(1), *headers))
        assert passed(read(write(data, "a.warc"), "warc")) == ["opt_out"]

    @pytest.mark.parametrize(
        "meta",
        [
            '<meta name="robots" content="noindex, noai">',
            "<META CONTENT=noai NAME=ROBOTS>",
            "<meta name='tdm-reservation' content='1'/>",
        ],
    )
    def test_metadata(self, write, read, passed, meta):
        body = html(1).replace(b"<title>", meta.encode() + b"<title>")
        data = record("response", "http://a.example/", http(body))
        assert passed(read(write(data, "a.warc"), "warc")) == ["opt_out"]

    @pytest.mark.parametrize(
        "header",
        [
            "X-Robots-Tag: noindex",
            "tdm-reservation: 0",
            "X-Other: noai",
            "Content-Usage: train-ai=y",
        ],
    )
    def test_what_is_none(self, write, read, texts, header):
        data = record("response", "http://a.example/", http(html(1), header))
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]


def chunked(body, size=50):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;a=b\r\n%b\r\n" % (len(each), each) for each in parts) + b"0\r\n\r\n"


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


class TestCodings:
    @pytest.mark.parametrize("coding", CODINGS)
    @pytest.mark.parametrize("in_chunks", [False, True])
    def test_each(self, write, read, texts, coding, in_chunks):
        body = CODINGS[coding](html(1))
        headers = [f"Content-Encoding: {coding}"]
        if in_chunks:
            body, headers = chunked(body), [*headers, "Transfer-Encoding: chunked"]
        data = record("response", "http://a.example/", http(body, *headers))
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]

    def test_deflate_without_its_header(self, write, read, texts):
        block = http(raw_deflate(html(1)), "Content-Encoding: deflate")
        data = record("response", "http://a.example/", block)
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]

    def test_two_of_them_over_each_other(self, write, read, texts):
        body = gzip.compress(zlib.compress(html(1)))
        block = http(body, "Content-Encoding: deflate, gzip")
        data = record("response", "http://a.example/", block)
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]

    @pytest.mark.parametrize(
        "header",
        [
            *(f"Content-Encoding: {coding}" for coding in (*CODINGS, "utf-8", "none")),
            "Transfer-Encoding: chunked",
        ],
    )
    def test_a_body_that_the_crawler_has_decoded(self, write, read, texts, header):
        block = http(html(1), header, "Content-Length: 99999")
        if header.startswith("Transfer"):
            block = http(html(1), header)
        data = record("response", "http://a.example/", block)
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]

    @pytest.mark.parametrize(
        ("block", "error"),
        [
            (http(gzip.compress(html(1))[:-9], "Content-Encoding: gzip"), "cut short"),
            (http(zlib.compress(html(1))[:-9], "Content-Encoding: deflate"), "cut short"),
            (http(brotli.compress(html(1))[:-9], "Content-Encoding: br"), "cut short"),
            (http(chunked(html(1))[:-9], "Transfer-Encoding: chunked"), "cut short"),
            (http(b"5\r\nabcdefgh\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "damaged"),
            (http(b"\x1f\x8bnonsense", "Content-Encoding: gzip"), "damaged"),
            (http(b"uryyb", "Content-Encoding: rot13"), "coding that is not known"),
            (http(html(1), "Content-Encoding: gzip, gzip, gzip, gzip"), "more than 3 times"),
            (http(html(1), "Content-Length: 5000"), "expected 5000: cut short"),
            (b"GET / HTTP/1.1\r\n\r\n", "no status line"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/html", "blank line"),
        ],
    )
    def test_what_is_damaged_is_dead(self, write, read, dead, block, error):
        data = record("response", "http://a.example/", block)
        (letter,) = dead(read(write(data, "a.warc"), "warc"))
        assert error in letter.error
        assert letter.name
        assert "river" not in letter.error

    @pytest.mark.parametrize("coding", CODINGS)
    def test_a_bomb_stops_at_the_cap(self, write, read, dead, coding):
        body = CODINGS[coding](bytes(64 * 2**20))
        data = record("response", "http://a.example/", http(body, f"Content-Encoding: {coding}"))
        (letter,) = dead(read(write(data, "a.warc"), "warc"))
        assert "decompresses to more than" in letter.error


RUSSIAN = "Река поднялась над полями в тот год, и жители деревни перенесли свои лодки на холм. " * 3
JAPANESE = (
    "その年、川は畑の上にあふれ、村の人々は水が来る前に舟を丘の上に運んだと伝えられている。" * 5
)
FRENCH = "Cette année-là, la rivière déborda sur les champs, et les villageois étaient prêts. " * 3


class TestCharsets:
    @pytest.mark.parametrize(
        ("text", "encoding", "kind", "meta"),
        [
            (RUSSIAN, "cp1251", "text/html; charset=windows-1251", ""),
            (RUSSIAN, "koi8-r", 'text/html; charset="KOI8-R"', '<meta charset="utf-8">'),
            (RUSSIAN, "cp1251", "text/html", '<meta charset="windows-1251">'),
            (
                JAPANESE,
                "shift_jis",
                "text/html",
                '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">',
            ),
            (FRENCH, "latin-1", "text/html; charset=iso-8859-1", ""),
            (FRENCH, "utf-8", "text/html", ""),
            (FRENCH, "utf-8-sig", "text/html; charset=iso-8859-1", ""),
            (RUSSIAN, "utf-16", "text/html", ""),
            (RUSSIAN, "utf-8", "text/html; charset=latin-9-and-a-half", ""),
            (RUSSIAN, "cp1251", "text/html", ""),  # a guess from here on
            (JAPANESE, "euc_jp", "text/html", ""),
            (FRENCH, "cp1252", "text/html", ""),
            (RUSSIAN, "cp1251", "text/html; charset=utf-8", ""),  # what it says is wrong
        ],
    )
    def test_each(self, write, read, texts, text, encoding, kind, meta):
        body = f"<html><head>{meta}</head><body><p>{text}</p></body></html>".encode(encoding)
        data = record("response", "http://a.example/", http(body, kind=kind))
        assert texts(read(write(data, "a.warc"), "warc")) == [text.strip()]

    @pytest.mark.parametrize("label", ["hex", "zip", "utf-7", "idna", "unicode_escape", "rot13"])
    def test_codecs_that_are_no_encoding_are_not_used(self, write, read, texts, label):
        data = record(
            "response", "http://a.example/", http(html(1), kind=f"text/html; charset={label}")
        )
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(1)]


class TestDamage:
    WHOLE = tuple(prose(number) for number in range(4))

    @pytest.mark.parametrize("whole_file", [False, True])
    def test_cut_at_any_byte_no_text_is_cut(self, write, read, texts, dead, whole_file):
        records = [page_record(number) for number in range(4)]
        data = gzip.compress(b"".join(records), mtime=0) if whole_file else members(*records)
        ends = [0]
        for each in records:
            ends.append(ends[-1] + len(members(each)))
        for cut in range(0, len(data), 3):
            found = read(write(data[:cut], "a.warc.gz"), "warc")
            kept = texts(found)
            assert tuple(kept) == self.WHOLE[: len(kept)]
            if not whole_file:
                assert len(kept) == sum(0 < end <= cut for end in ends)
                assert len(dead(found)) == (cut not in ends)
            elif cut:
                (letter,) = dead(found)
                assert "cut short" in letter.error

    def test_a_plain_file_cut_at_any_byte(self, write, read, texts, dead):
        data = b"".join(map(page_record, range(3)))
        for cut in range(1, len(data), 7):
            found = read(write(data[:cut], "a.warc"), "warc")
            kept = texts(found)
            assert tuple(kept) == self.WHOLE[: len(kept)]
            assert len(kept) + len(dead(found)) in (1, 2, 3)

    def test_a_flipped_bit_costs_its_member_alone(self, write, read, texts, dead):
        packed = [members(page_record(number)) for number in range(4)]
        start = len(packed[0]) + len(packed[1])
        for at in range(12, len(packed[2]), 5):
            data = bytearray(b"".join(packed))
            data[start + at] ^= 4
            found = read(write(bytes(data), "a.warc.gz"), "warc")
            assert texts(found) == [prose(0), prose(1), prose(3)]
            (letter,) = dead(found)
            assert f"gzip member at byte {start}" in letter.error
            assert letter.offset == len(page_record(0) + page_record(1))

    def test_a_flipped_bit_in_a_plain_file_shows_at_its_digest(self, write, read, texts, dead):
        block = http(html(0))
        digest = "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()
        data = record("response", "http://a.example/", block, WARC_Block_Digest=digest)
        assert texts(read(write(data, "a.warc"), "warc")) == [prose(0)]
        altered = data.replace(b"river", b"riuer")
        (letter,) = dead(read(write(altered, "a.warc"), "warc"))
        assert "digest" in letter.error

    @pytest.mark.parametrize("wrong", [5, 100_000, 10_000_000_000])
    def test_a_wrong_length_costs_its_record_alone(self, write, read, texts, dead, wrong):
        data = page_record(0) + page_record(1, Content_Length=str(wrong)) + page_record(2)
        found = read(write(data, "a.warc"), "warc")
        expected = [prose(0)] if wrong > 16 * 2**20 else [prose(0), prose(2)]
        assert texts(found) == expected
        (letter,) = dead(found)
        assert letter.offset == len(page_record(0))

    @pytest.mark.parametrize("length", ["", "-1", "1e3", "\u0661\u0662", "9" * 30])
    def test_a_length_that_is_none(self, write, read, texts, dead, length):
        data = page_record(0, Content_Length=length) + page_record(1)
        found = read(write(data, "a.warc"), "warc")
        assert texts(found) == [prose(1)]
        assert "Content-Length" in dead(found)[0].error

    def test_rubbish_between_records_is_dead_once(self, write, read, texts, dead):
        data = page_record(0) + b"rubbish\n" * 100 + page_record(1)
        found = read(write(data, "a.warc"), "warc")
        assert texts(found) == [prose(0), prose(1)]
        assert len(dead(found)) == 1

    def test_a_file_of_nothing_but_false_starts_ends(self, write, read, dead):
        data = b"WARC/1.0\r\nContent-Length: 16000000\r\n\r\n" * 10_000
        found = read(write(data, "a.warc"), "warc")
        assert len(found) == warc_file.MAXIMUM_DAMAGES + 1
        assert "given up" in dead(found)[-1].error

    def test_a_record_over_the_cap_is_dead_and_the_next_is_read(
        self, write, read, texts, dead, monkeypatch
    ):
        monkeypatch.setattr(warc_file, "MAXIMUM_RECORD_BYTES", 1000)
        big = record("response", "http://a.example/", http(bytes(5000)))
        found = read(write(big + page_record(1), "a.warc"), "warc")
        assert texts(found) == [prose(1)]
        assert "a record of more than" in dead(found)[0].error

    def test_a_member_too_large_to_hold_is_read_all_the_same(
        self, write, read, texts, dead, monkeypatch
    ):
        monkeypatch.setattr(warc_bytes, "HELD_BYTES", 100)
        data = gzip.compress(b"".join(map(page_record, range(4))))
        assert tuple(texts(read(write(data, "a.warc.gz"), "warc"))) == self.WHOLE
        flipped = bytearray(data + members(page_record(9)))
        flipped[len(data) // 2] ^= 1
        found = read(write(bytes(flipped), "b.warc.gz"), "warc")
        assert texts(found) == [prose(9)]
        assert len(dead(found)) == 1

    def test_a_bomb_ends_the_file(self, write, read, texts, dead, monkeypatch):
        monkeypatch.setattr(compressed, "EXPANSION_ALWAYS_ALLOWED", 2**18)
        data = members(page_record(0), bytes(2**24), page_record(1))
        found = read(write(data, "a.warc.gz"), "warc")
        assert texts(found) == [prose(0)]
        assert "bomb" in dead(found)[0].error

    def test_zeros_pad_the_end(self, write, read, texts, dead):
        found = read(write(members(page_record(0)) + bytes(70_000), "a.warc.gz"), "warc")
        assert texts(found) == [prose(0)]
        assert not dead(found)

    def test_an_empty_file_holds_nothing(self, write, read):
        assert read(write(b"", "a.warc"), "warc") == []
        assert read(write(b"", "a.warc.gz"), "warc") == []


@settings(max_examples=150)
@given(st.data())
def test_whatever_is_changed_no_text_is_made_up(tmp_path_factory, data):
    records = [page_record(number) for number in range(3)]
    packed = data.draw(st.booleans())
    content = bytearray(members(*records) if packed else b"".join(records))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[at : at + data.draw(st.integers(1, 40))]
        else:
            content[at:at] = data.draw(st.binary(max_size=20))
        if not content:
            break
    path = tmp_path_factory.mktemp("warc") / ("a.warc.gz" if packed else "a.warc")
    path.write_bytes(bytes(content))
    found = list(KINDS["warc"].read(path, WARC_SOURCE))
    assert len(found) <= 5
    if packed:  # a checksum proves every text
        assert {each.text for each in found if isinstance(each, Text)} <= set(map(prose, range(3)))


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from(["a.warc", "a.warc.gz"]), st.booleans())
def test_any_bytes_are_read_without_an_error(tmp_path_factory, content, name, begin_well):
    path = tmp_path_factory.mktemp("warc") / name
    path.write_bytes((b"WARC/1.0\r\n" if begin_well else b"") + content)
    found = list(KINDS["warc"].read(path, WARC_SOURCE))
    assert all(isinstance(each, Unreadable | Passed) for each in found)


class TestWet:
    def test_a_conversion_is_a_text(self, write, read, passed):
        text = "Une rivière\nqui monte"
        data = members(
            record("warcinfo", None, b"x: y", type_="application/warc-fields"),
            record("conversion", "http://a.example/", text.encode(), type_="text/plain", number=3),
        )
        found = read(write(data, "a.warc.wet.gz"), "wet")
        assert passed(found) == ["not_a_page"]
        assert found[1] == Text(
            text,
            url="http://a.example/",
            timestamp=DATE,
            name="00000000-0000-4000-8000-000000000003",
        )

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (page_record(1), "not_a_page"),
            (record("conversion", "http://a/", b" \n", type_="text/plain"), "no_text"),
            (record("conversion", "http://a/", b"%PDF", type_="application/pdf"), "not_text"),
            (
                record("conversion", "http://a/", b"x", type_="text/plain", WARC_Truncated="time"),
                "truncated",
            ),
        ],
    )
    def test_what_is_no_text_is_passed_over(self, write, read, passed, data, reason):
        assert passed(read(write(data, "a.wet"), "wet")) == [reason]

    @pytest.mark.parametrize(
        ("block", "error"), [(b"caf\xe9", "not valid utf-8"), (b"a\0b", "NUL character")]
    )
    def test_what_is_damaged_is_dead(self, write, read, dead, block, error):
        data = record("conversion", "http://a/", block, type_="text/plain")
        assert error in dead(read(write(data, "a.wet"), "wet"))[0].error
