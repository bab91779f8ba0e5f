"""Archives that others write, and what others read of ours: wget and warcio."""

import functools
import http.server
import io
import shutil
import subprocess
import threading

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.sources import Text
from pipelines.web import html_text, warc_writer
from tests.packages import fetch_deb

PAGE = (
    "<html><body><h1>Page {0}</h1><p>The river rose over the fields that year, and {0} people moved"
    " all their boats to the hill before it came.</p><a href=1.html>1</a><a href=2.html>2</a>"
    "<img src=a.png></body></html>"
)
PROSE = (
    "Page {0}\n\nThe river rose over the fields that year, and {0} people moved all their boats to"
    " the hill before it came."
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A site of two pages and a picture."""
    folder = tmp_path_factory.mktemp("site")
    for number in (1, 2):
        (folder / f"{number}.html").write_text(PAGE.format(number))
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.skipif(shutil.which("wget") is None, reason="wget is not installed")
@pytest.mark.parametrize("packed", [True, False])
def test_what_wget_stores(address, tmp_path, read, texts, passed, dead, packed):
    command = ["wget", "--quiet", "--recursive", "--warc-file=out", f"{address}/2.html"]
    command += [] if packed else ["--no-warc-compression"]
    subprocess.run(command, cwd=tmp_path, check=False)
    found = read(tmp_path / ("out.warc.gz" if packed else "out.warc"), "warc")
    assert texts(found) == [PROSE.format(2), PROSE.format(1)]
    assert [each.url for each in found if isinstance(each, Text)] == [
        f"{address}/2.html",
        f"{address}/1.html",
    ]
    reasons = passed(found)  # requests, the log and the arguments; the picture; no robots.txt
    assert reasons.count("not_text") == 1
    assert reasons.count("status") == 1
    assert reasons.count("not_a_page") == len(reasons) - 2
    assert not dead(found)


@pytest.mark.parametrize("packed", [True, False])
def test_what_warcio_writes(write, read, passed, packed):
    folder = fetch_deb("developers-reference") / "usr" / "share" / "developers-reference"
    pages = {path.name: path.read_bytes() for path in sorted(folder.glob("*.html"))}
    data = io.BytesIO()
    writer = WARCWriter(data, gzip=packed)
    writer.write_record(writer.create_warcinfo_record("a.warc", {"software": "test"}))
    for name, page in pages.items():
        headers = StatusAndHeaders(
            "200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1"
        )  # the pages say in which encoding they are
        uri = f"https://a.example/{name}"
        record = writer.create_warc_record(
            uri, "response", io.BytesIO(page), len(page), http_headers=headers
        )
        writer.write_record(record)
        record.raw_stream.close()
    found = read(write(data.getvalue(), "a.warc.gz" if packed else "a.warc"), "warc")
    assert passed(found)[0] == "not_a_page"
    kept = {each.url.rpartition("/")[2]: each.text for each in found if isinstance(each, Text)}
    expected = {name: html_text.extract(page.decode()) for name, page in pages.items()}
    assert kept == {name: text for name, text in expected.items() if text}
    assert len(kept) >= 10


def test_warcio_reads_what_we_write():
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x</p>"
    data = warc_writer.record(
        "warcinfo", "2026-01-31T12:00:00Z", warc_writer.FIELDS_TYPE, b"software: x\r\n"
    ) + warc_writer.record(
        "response", "2026-01-31T12:00:01Z", warc_writer.RESPONSE_TYPE, block, "https://a.example/"
    )
    digests = ArchiveIterator(io.BytesIO(data), check_digests="raise")
    records = [(each.rec_type, each.rec_headers, each.content_stream().read()) for each in digests]
    assert [kind for kind, _, _ in records] == ["warcinfo", "response"]
    _, headers, content = records[1]
    assert content == b"<p>x</p>"
    assert headers.get_header("WARC-Target-URI") == "https://a.example/"
    assert headers.get_header("WARC-Date") == "2026-01-31T12:00:01Z"
