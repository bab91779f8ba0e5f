"""Makes a small corpus of twelve kinds of sources, for configs/curation-demo.yaml.

    python examples/curation_demo.py FOLDER PACKAGES

Web pages and their archives are those of the Debian package `developers-reference`, the Wikipedia
dump is the one in the Python package `gensim`; both lie unpacked in PACKAGES (`make
data-curation` fetches them). All other texts are the bundled ones, put into the forms in which
such data comes: copies, nearly equal copies and broken files are among them on purpose.
"""

from __future__ import annotations

import gzip
import io
import json
import mailbox
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

ROOT = Path(__file__).parents[1]
ADDRESSES = ROOT / "examples" / "data" / "state_of_the_union"
VERSES = ROOT / "examples" / "data" / "bible_en_es"
WHEN = "2024-03-01T12:00:00Z"


def addresses() -> list[tuple[str, str]]:
    """Name and text of each State of the Union address."""
    return [(path.stem, path.read_text("utf-8")) for path in sorted(ADDRESSES.glob("*.txt"))]


def pieces(text: str, words: int = 250) -> Iterator[str]:
    """A text in pieces of so many words, lines of some twelve."""
    found = text.split()
    for start in range(0, len(found) - words, words):
        piece = found[start : start + words]
        yield "\n".join(" ".join(piece[i : i + 12]) for i in range(0, words, 12))


def text(folder: Path) -> None:
    """Plain files; one is no UTF-8."""
    for name, content in addresses()[:20]:
        (folder / f"{name}.txt").write_text(content, "utf-8")
    (folder / "broken.txt").write_bytes(b"\xff\xfe\x00 not a text")


def crawl(folder: Path) -> None:
    """JSON lines as of C4, with copies and nearly equal copies; a line is cut."""
    rows = []
    for name, content in addresses()[20:30]:
        for number, piece in enumerate(pieces(content)):
            url = f"https://www.example.org/{name}/{number}"
            rows.append({"text": piece, "url": url, "timestamp": WHEN})
            if number % 4 == 0:  # the same page once more, a year before
                rows.append(
                    {"text": piece, "url": url + "/?utm_source=x", "timestamp": "2023-03-01"}
                )
            if number % 5 == 0:  # nearly the same page elsewhere
                changed = piece.replace(" the ", " that ", 1)
                host = "copies.example" if number % 2 else "mirror.example"
                rows.append({"text": changed, "url": f"https://{host}/{name}/{number}"})
    lines = [json.dumps(row) for row in rows]
    lines[7] = lines[7][:100]
    (folder / "part-0.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[::2]).encode(), mtime=0))
    packed = zstandard.compress("\n".join(lines[1::2]).encode())
    (folder / "part-1.jsonl.zst").write_bytes(packed)


def pile(folder: Path) -> None:
    """Parquet with The Pile's `meta`: the name of the set."""
    sets = ("Pile-CC", "FreeLaw", "PubMed Abstracts")
    texts = [piece for _, content in addresses()[30:34] for piece in pieces(content, 400)]
    meta = [{"pile_set_name": sets[number % 3]} for number in range(len(texts))]
    pq.write_table(pa.table({"text": texts, "meta": meta}), folder / "train.parquet")


def hub(folder: Path) -> None:
    """A data set as the Hub lays it out: a card with the licence, and its files."""
    (folder / "data").mkdir()
    (folder / "README.md").write_text(
        "---\nlicense: cc0-1.0\nlanguage:\n- en\nconfigs:\n- config_name: default\n"
        "  data_files:\n  - split: train\n    path: data/*.parquet\n---\n# Verses\n"
    )
    verses = [path.read_text("utf-8") for path in sorted((VERSES / "en").iterdir())]
    chapters = [
        " ".join(lines[start : start + 20])
        for lines in (book.splitlines() for book in verses)
        for start in range(0, len(lines), 20)
    ]
    pq.write_table(pa.table({"text": chapters}), folder / "data" / "train-0.parquet")


def warc(folder: Path, pages: Path) -> None:
    """A web archive of real pages; its last record is cut."""
    out = io.BytesIO()
    for path in sorted(pages.glob("*.html"))[:8]:
        body = path.read_bytes()
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: "
        block = f"{head}{len(body)}\r\n\r\n".encode() + body
        record = (
            "WARC/1.0\r\nWARC-Type: response\r\n"
            f"WARC-Target-URI: https://www.debian.example/{path.name}\r\n"
            f"WARC-Date: {WHEN}\r\nWARC-Record-ID: <urn:uuid:{path.stem}>\r\n"
            "Content-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(block)}\r\n\r\n"
        )
        out.write(gzip.compress(record.encode() + block + b"\r\n\r\n", mtime=0))
    whole = out.getvalue()
    (folder / "crawl.warc.gz").write_bytes(whole[:-200])


def html(folder: Path, pages: Path) -> None:
    """Pages saved one by one; those in the archive too are copies."""
    for path in sorted(pages.glob("*.html")):
        shutil.copy(path, folder / path.name)


def wikipedia(folder: Path, packages: Path) -> None:
    """Two dumps, one in UTF-16."""
    data = packages / "pip-gensim-4.4.0" / "gensim" / "test" / "test_data"
    for path in data.glob("*wiki-latest-pages-articles*.bz2"):
        shutil.copy(path, folder / path.name)


def latex(folder: Path) -> None:
    """Two papers, as arXiv gives them."""
    for number, (name, content) in enumerate(addresses()[34:36]):
        paragraphs = "\n\n".join(pieces(content, 120))
        source = (
            "\\documentclass{article}\n\\newcommand{\\union}{the Union}\n\\begin{document}\n"
            f"\\title{{On {name.replace('_', ' ')}}}\n\\maketitle\n\\section{{State of \\union}}\n"
            f"{paragraphs.replace('$', chr(92) + '$').replace('%', chr(92) + '%')}\n"
            "The sum is \\begin{equation} a^2 + b^2 = c^2 \\end{equation} as in \\cite{one}.\n"
            "% a comment\n\\end{document}\n"
        )
        with tarfile.open(folder / f"paper-{number}.tar.gz", "w:gz") as archive:
            data = source.encode()
            member = tarfile.TarInfo("main.tex")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def gutenberg(folder: Path) -> None:
    """A book between the marks of Project Gutenberg."""
    for name, content in addresses()[36:38]:
        title = name.upper().replace("_", " ")
        (folder / f"{name}.txt").write_text(
            f"The Project Gutenberg EBook of {title}\n\nThis eBook is for the use of anyone\n\n"
            f"*** START OF THIS PROJECT GUTENBERG EBOOK {title} ***\n\nProduced by A. Volunteer\n\n"
            f"{content}\n\n*** END OF THIS PROJECT GUTENBERG EBOOK {title} ***\n\nLicence terms.\n",
            "utf-8",
        )


def captions(folder: Path) -> None:
    """Subtitles whose lines roll: each cue repeats the last line of the one before."""
    for number, (_, content) in enumerate(addresses()[38:40]):
        found = content.split()[:1500]
        lines = [" ".join(found[i : i + 8]) for i in range(0, len(found), 8)]
        cues = [
            f"{i}\n00:{i // 60:02d}:{i % 60:02d},000 --> 00:{i // 60:02d}:{i % 60:02d},900\n"
            + "\n".join(lines[max(0, i - 2) : i])
            for i in range(1, len(lines))
        ]
        (folder / f"film-{number}.srt").write_text("\n\n".join(cues), "utf-8")


def private(folder: Path) -> None:
    """Letters with addresses, numbers and keys; a mailbox; a page of Word."""
    for number, piece in enumerate(pieces(addresses()[3][1], 200)):
        sender = f"jane.doe{number}@company.example"
        signed = f"{piece}\nWrite to {sender} or call +1 202 555 01{number:02d}.\n"
        (folder / f"letter-{number}.txt").write_text(signed + "IBAN DE89 3704 0044 0532 0130 00\n")
    box = mailbox.mbox(folder / "mails.mbox")
    for number, piece in enumerate(pieces(addresses()[4][1], 200)):
        mail = EmailMessage()
        mail["From"], mail["To"] = "a@company.example", "b@company.example"
        mail["Subject"], mail["Message-ID"] = f"Letter {number}", f"<{number}@company.example>"
        mail["Date"] = "Fri, 01 Mar 2024 12:00:00 +0000"
        mail.set_content(piece)
        box.add(mail)
    box.close()
    body = "".join(f"<w:p><w:r><w:t>{each}</w:t></w:r></w:p>" for each in pieces(addresses()[5][1]))
    schema = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(folder / "report.docx", "w") as word:
        word.writestr("[Content_Types].xml", "<Types/>")
        word.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{schema}"><w:body>{body}</w:body></w:document>',
        )


def lists(folder: Path) -> None:
    """An opt-out, a block list, words not wanted, and a text that the model will be judged by."""
    (folder / "opt-out.txt").write_text("https://www.debian.example/tools.html\n")
    (folder / "blocked").mkdir()
    (folder / "blocked" / "domains").write_text("copies.example\n")
    (folder / "words.txt").write_text("xylophonequartz\n")
    content = addresses()[21][1]
    (folder / "evaluation.txt").write_text(next(pieces(content, 60)))


def main() -> None:
    """Writes every source into a folder of its own, complete or not at all."""
    folder, packages = Path(sys.argv[1]), Path(sys.argv[2])
    making = folder.with_name(folder.name + ".partial")
    shutil.rmtree(making, ignore_errors=True)
    pages = packages / "apt-get-developers-reference/usr/share/doc/developers-reference/docs"
    if not pages.is_dir():
        sys.exit(f"error: {pages}: not there; run `make data-curation`")
    for make in (text, crawl, pile, hub, latex, gutenberg, captions, private, lists):
        (making / make.__name__).mkdir(parents=True)
        make(making / make.__name__)
    for make in (warc, html):
        (making / make.__name__).mkdir()
        make(making / make.__name__, pages)
    (making / "wikipedia").mkdir()
    wikipedia(making / "wikipedia", packages)
    shutil.copytree(ROOT / "llm_keras" / "data", making / "code" / "llm_keras")
    shutil.copy(ROOT / "LICENSE", making / "code" / "LICENSE")
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)


if __name__ == "__main__":
    main()
