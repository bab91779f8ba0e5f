"""Archives, dumps, private papers and addresses through all of curation: what comes out, and why
the rest does not.
"""

import bz2
import gzip

import pytest

from llm_keras import config
from llm_keras.run_folder import RunFolder
from pipelines.curate import curate

DATE = "2024-03-01T12:30:05Z"


def record(kind, name, content_type, block):
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{name}>\r\n"
        f"WARC-Date: {DATE}\r\n"
        f"WARC-Target-URI: https://a.example/{name}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


def response(name, body, *headers):
    lines = ["HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8", *headers, "", ""]
    block = "\r\n".join(lines).encode() + f"<main><p>{body}</p></main>".encode()
    return record("response", name, "application/http; msgtype=response", block)


def page(title, text, more=""):
    return (
        f"<page><title>{title}</title><ns>0</ns>{more}<revision><timestamp>{DATE}</timestamp>"
        f"<text>{text}</text></revision></page>"
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory, prose):
    root = tmp_path_factory.mktemp("web")
    for name in ("crawl", "texts", "pages", "wiki", "papers", "list"):
        (root / name).mkdir()
    cut = response("cut", prose(20))
    archive = (
        record("warcinfo", "info", "application/warc-fields", b"software: x"),
        record("request", "asked", "application/http", b"GET / HTTP/1.1\r\n\r\n"),
        response("one", prose(1)),
        response("two", prose(2), "X-Robots-Tag: noai"),
        cut[: len(cut) // 2],
    )
    (root / "crawl/a.warc.gz").write_bytes(b"".join(archive))
    wet = record("conversion", "three", "text/plain", prose(3).encode())
    (root / "texts/a.warc.wet.gz").write_bytes(wet)
    (root / "pages/a.html").write_text(f"<nav><p>{prose(21)}</p></nav><p>{prose(4)}</p>")
    dump = (
        '<mediawiki xml:lang="en"><siteinfo><base>https://w.example/wiki/Main</base></siteinfo>'
        + page("Letter five", f"'''{prose(5)}''' {{{{cite}}}}")
        + page("L5", "#REDIRECT [[Letter five]]", '<redirect title="Letter five" />')
        + "</mediawiki>"
    )
    (root / "wiki/dump.xml.bz2").write_bytes(bz2.compress(dump.encode()))
    (root / "papers/a.md").write_text(prose(6))
    mails = "".join(
        f"From a\nMessage-ID: <{n}@x>\nSubject: Mail {n}\n\n{prose(n)}\n\n" for n in (7, 8)
    )
    (root / "papers/a.mbox").write_text(mails)
    (root / "papers/broken.pdf").write_bytes(b"%PDF-1.7\nnot a whole one")
    (root / "list/a.txt").write_text("http://127.0.0.1/\nfile:///etc/passwd\nhttp://10.0.0.1/\n")
    return root


@pytest.fixture(scope="module")
def curated(sources, make_run, tmp_path_factory):
    kinds = {"crawl": "warc", "texts": "wet", "pages": "html", "wiki": "wikipedia"}
    settings = make_run(
        sources, language={"keep": ["en"], "minimum_score": 0.2}, maximum_dead_fraction=0.9
    ).model_dump(mode="json")
    settings["corpus"]["sources"] = [
        *(
            {"name": name, "kind": kind, "path": str(sources / name)}
            for name, kind in kinds.items()
        ),
        {"name": "papers", "kind": "documents", "path": str(sources / "papers"), "consent": True},
        {
            "name": "list",
            "kind": "fetch",
            "path": str(sources / "list"),
            "fetch": {"user_agent": "test (+mailto:x@example.org)"},
        },
    ]
    folder = RunFolder(tmp_path_factory.mktemp("curated") / "run")
    curate(config.Run.model_validate(settings), folder)
    return folder


def test_each_kind_gives_its_texts_with_what_its_file_says(curated, rows, prose):
    found = rows(curated.documents)
    texts = {(row["source"], row["text"]) for row in found}
    assert texts == {
        ("crawl", prose(1)),
        ("texts", prose(3)),
        ("pages", prose(4)),
        ("wiki", prose(5)),
        ("papers", prose(6)),
        *(("papers", f"Mail {n}\n\n{prose(n)}") for n in (7, 8)),
    }
    by_source = {row["source"]: row for row in found}
    assert by_source["crawl"]["url"] == "https://a.example/one"
    assert by_source["crawl"]["timestamp"] == DATE
    assert by_source["crawl"]["locator"] == "a.warc.gz#one"
    assert by_source["wiki"]["url"] == "https://w.example/wiki/Letter_five"
    assert by_source["papers"]["private"] is True
    assert {row["locator"] for row in found if row["source"] == "papers"} == {
        "a.md",
        "a.mbox#7@x",
        "a.mbox#8@x",
    }


def test_everything_else_has_a_reason(curated, curation):
    counts = curation(curated)["sources"]
    dropped = {
        name: {reason: count for reason, count in each["dropped"].items() if count}
        for name, each in counts.items()
    }
    assert dropped["crawl"] == {"not_a_page": 2, "opt_out": 1}
    assert dropped["wiki"] == {"redirect": 1}
    assert dropped["list"] == {"blocked": 3}
    assert {name: each["dead"] for name, each in counts.items() if each["dead"]} == {
        "crawl": 1,
        "papers": 1,
    }
    for each in counts.values():
        assert each["in"] == each["kept"] + sum(each["dropped"].values()) + each["dead"]
