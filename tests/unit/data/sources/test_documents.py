"""Private folders: every format in a file made as its standard says, and as it should not be."""

import io
import mailbox
import time
import zipfile
from email.message import EmailMessage

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from pipelines.documents import mbox, word
from pipelines.sources import KINDS, Passed, Text, Unreadable
from tests.packages import fetch_deb

SOURCE = config.Source(name="s", kind="documents", path="unused")
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def docx(body, name="word/document.xml", **more):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(name, f'<?xml version="1.0"?><w:document {W} {MC}><w:body>{body}'
                         "</w:body></w:document>")  # fmt: skip
        for part, content in more.items():
            archive.writestr(part, content)
    return data.getvalue()


def paragraph(text, properties=""):
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pdf(*pages, bad=False):
    """A PDF written out by hand: objects, their table, a trailer (ISO 32000-1, section 7.5)."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, lines in enumerate(pages):
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET".encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    data, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return data + (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    )


class TestPlain:
    def test_text_and_html(self, write, read):
        assert read(write(b"# A\n\nb", "a.md"), "documents") == [Text("# A\n\nb")]
        assert read(write("é".encode("latin-1"), "a.txt"), "documents", encoding="latin-1") == [
            Text("é")
        ]
        prose = b"The river rose over the fields in the spring of that year."
        page = b"<meta name=robots content=noai><p>" + prose + b"</p>"
        (found,) = read(write(page, "a.HTML"), "documents")
        assert found.text.startswith("The river rose")  # a page of one's own needs no opt-out

    def test_a_name_of_no_kind_is_dead(self, write, read, dead):
        assert "ends in .txt" in dead(read(write(b"x", "a.xyz"), "documents"))[0].error


class TestWord:
    def test_paragraphs_lists_tables_and_breaks(self, write, read):
        numbered = "<w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr>"
        body = (
            paragraph("Title") + "<w:p><w:r><w:t>One </w:t></w:r><w:r><w:t>&amp; two</w:t><w:tab/>"
            "<w:t>three</w:t><w:br/><w:t>four</w:t></w:r></w:p>"
            + paragraph("item", numbered)
            + f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr>"
            "</w:tbl>"
        )
        expected = "Title\nOne & two three\nfour\n- item\na\nb"
        assert read(write(docx(body), "a.docx"), "documents") == [Text(expected)]

    def test_deleted_text_field_codes_and_fallbacks_are_no_text(self, write, read, texts):
        body = (
            "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t>"
            "</w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r></w:p><w:p><mc:AlternateContent>"
            "<mc:Choice Requires='wps'><w:r><w:t>box</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t>"
            "box</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>"
        )
        assert texts(read(write(docx(body), "a.docx"), "documents")) == ["new\nbox"]

    def test_an_empty_one_is_passed_over(self, write, read):
        assert read(write(docx(paragraph(" ")), "a.docx"), "documents") == [Passed("no_text")]

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (b"no zip", "zip archive is damaged"),
            (docx(paragraph("secret text"))[:-40], "zip archive is damaged"),
            (docx("", name="other.xml"), "no word/document.xml"),
            (docx("<w:p>"), "not well-formed"),
            (b"\xd0\xcf\x11\xe0" + bytes(600), "encrypted"),
            (b"", "zip archive is damaged"),
        ],
    )
    def test_what_is_damaged_is_dead(self, write, read, data, error):
        (letter,) = read(write(data, "a.docx"), "documents")
        assert error in letter.error
        assert "secret" not in letter.error

    def test_entities_are_refused(self, write, read):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            text = '<!DOCTYPE x [<!ENTITY a "b">]><w:document ' + W + ">&a;</w:document>"
            archive.writestr("word/document.xml", text)
        (letter,) = read(write(data.getvalue(), "a.docx"), "documents")
        assert "document type" in letter.error

    def test_a_bomb_stops_at_the_cap(self, write, read, monkeypatch):
        monkeypatch.setattr(word, "MAXIMUM_XML_BYTES", 2**22)
        data = docx(paragraph(" " * 2**24))
        assert len(data) < 50_000
        (letter,) = read(write(data, "a.docx"), "documents")
        assert "zip bomb" in letter.error

    @settings(max_examples=60)
    @given(st.data())
    def test_whatever_is_changed_no_error_comes(self, tmp_path_factory, data):
        content = bytearray(docx(paragraph("The river")))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] = data.draw(st.integers(0, 255))
        path = tmp_path_factory.mktemp("word") / "a.docx"
        path.write_bytes(bytes(content))
        (found,) = KINDS["documents"].read(path, SOURCE)
        assert isinstance(found, Text | Passed | Unreadable)


class TestPdf:
    def test_pages_lines_and_broken_words(self, write, read):
        data = pdf(
            ["The river rose over the", "fields, and the vil-", "lage moved."], ["Page two."]
        )
        expected = "The river rose over the\nfields, and the village moved.\nPage two."
        assert read(write(data, "a.pdf"), "documents") == [Text(expected)]

    def test_without_text_it_is_passed_over(self, write, read):
        assert read(write(pdf([]), "a.pdf"), "documents") == [Passed("no_text")]

    def test_an_encrypted_one_is_dead(self, write, read):
        writer, data = pypdf.PdfWriter(io.BytesIO(pdf(["secret"]))), io.BytesIO()
        writer.encrypt("password", algorithm="RC4-128")
        writer.write(data)
        (letter,) = read(write(data.getvalue(), "a.pdf"), "documents")
        assert "encrypted" in letter.error

    @pytest.mark.parametrize("name", ["MAXIMUM_OPERATIONS", "MAXIMUM_DRAWN_BYTES"])
    def test_one_that_draws_without_end_is_dead(self, write, read, monkeypatch, name):
        data = pdf(["word"] * 200, ["word"] * 200)
        assert isinstance(read(write(data, "a.pdf"), "documents")[0], Text)
        monkeypatch.setattr(f"pipelines.documents.pdf.{name}", 500)
        (letter,) = read(write(data, "a.pdf"), "documents")
        assert "drawn by more than 500" in letter.error

    @pytest.mark.parametrize("data", [b"", b"no pdf", b"%PDF-1.4\nsecret", pdf(["secret"])[:200]])
    def test_a_damaged_one_is_dead(self, write, read, data):
        (letter,) = read(write(data, "a.pdf"), "documents")
        assert isinstance(letter, Unreadable)
        assert "secret" not in letter.error

    @settings(max_examples=100)
    @given(st.data())
    def test_whatever_is_changed_no_error_comes(self, tmp_path_factory, data):
        content = bytearray(pdf(["The river rose", "over it"]))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        path = tmp_path_factory.mktemp("pdf") / "a.pdf"
        path.write_bytes(bytes(content))
        (found,) = KINDS["documents"].read(path, SOURCE)
        assert isinstance(found, Text | Passed | Unreadable)


def mail(subject="The river", text="It rose.\nOver the fields.", html=None, **headers):
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Someone <someone@example.org>"
    message["Date"] = "Fri, 01 Mar 2024 12:30:05 +0100"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    if text is not None:
        message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


class TestMail:
    def test_subject_body_and_date_but_no_names_of_people(self, write, read):
        assert read(write(bytes(mail()), "a.eml"), "documents") == [
            Text("The river\n\nIt rose.\nOver the fields.", timestamp="2024-03-01T12:30:05+01:00")
        ]

    def test_the_plain_one_of_alternatives(self, write, read, texts):
        data = bytes(mail(html="<p>It rose, in HTML.</p>"))
        assert texts(read(write(data, "a.eml"), "documents")) == [
            "The river\n\nIt rose.\nOver the fields."
        ]

    def test_html_alone(self, write, read, texts):
        message = mail(text=None)
        body = "The river rose over the fields that year, and they moved their boats."
        message.set_content(f"<html><body><p>{body}</p></body></html>", subtype="html")
        assert texts(read(write(bytes(message), "a.eml"), "documents")) == [f"The river\n\n{body}"]

    @pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
    @pytest.mark.parametrize("coding", ["base64", "quoted-printable", "8bit"])
    def test_encodings(self, write, read, texts, charset, coding):
        message = EmailMessage()
        message["Subject"] = "Élan"
        message.set_content("Café crème – été".replace("–", "-"), charset=charset, cte=coding)
        assert texts(read(write(bytes(message), "a.eml"), "documents")) == [
            "Élan\n\nCafé crème - été"
        ]

    def test_attachments_are_not_read(self, write, read, texts):
        message = mail()
        message.add_attachment(b"secret", maintype="text", subtype="plain", filename="a.txt")
        assert texts(read(write(bytes(message), "a.eml"), "documents")) == [
            "The river\n\nIt rose.\nOver the fields."
        ]

    def test_rubbish_is_dead(self, write, read, dead):
        assert "not a mail" in dead(read(write(b"\n\nrubbish", "a.eml"), "documents"))[0].error

    def test_a_mail_within_a_mail_is_an_attachment(self, write, read, texts):
        message = mail()
        message.add_attachment(mail(subject="Other", text="secret"))
        assert texts(read(write(bytes(message), "a.eml"), "documents")) == [
            "The river\n\nIt rose.\nOver the fields."
        ]

    @pytest.mark.parametrize(
        "head",
        [
            b"Subject: " + b"=?utf-8?q?a?= " * 100_000,
            b"Content-Type: text/plain; " + b"a=b; " * 50_000,
            b"Subject: a\n" + b" b\n" * 100_000,
            b"Date: " + b"(" * 100_000,
            b"Subject: " + b"(" * 60_000,
        ],
    )
    def test_long_headers_take_little_time(self, write, read, head):
        start = time.process_time()
        read(write(head + b"\n\nbody", "a.eml"), "documents")
        assert time.process_time() - start < 8

    def test_parts_within_parts_end_somewhere(self, write, read):
        data = b"Subject: a\n"
        for depth in range(1000):
            data += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (depth, depth)
        (found,) = read(write(data, "a.eml"), "documents")
        assert isinstance(found, Text | Unreadable | Passed)

    @settings(max_examples=100)
    @given(st.binary(max_size=200), st.binary(max_size=100))
    def test_any_bytes_are_read_without_an_error(self, tmp_path_factory, head, body):
        path = tmp_path_factory.mktemp("mail") / "a.eml"
        path.write_bytes(b"Subject: x\nContent-Type: " + head + b"\n\n" + body)
        (found,) = KINDS["documents"].read(path, SOURCE)
        assert isinstance(found, Text | Passed | Unreadable)


class TestMbox:
    @pytest.fixture
    def box(self, tmp_path):
        """A mailbox written by Python's own library."""
        path = tmp_path / "a.mbox"
        box = mailbox.mbox(path)
        for number in range(3):
            message = mail(f"Mail {number}", text=f"Text {number}.\n\nFrom here on.\n")
            if number < 2:
                message["Message-ID"] = f"<{number}@example.org>"
            box.add(message)
        box.close()
        return path

    def test_each_mail_has_its_name(self, box, read):
        found = read(box, "documents")
        assert [each.text for each in found] == [
            f"Mail {number}\n\nText {number}.\n\nFrom here on." for number in range(3)
        ]
        assert [each.name for each in found[:2]] == ["0@example.org", "1@example.org"]
        assert len(found[2].name) == 32

    def test_a_mail_over_the_cap_is_dead_and_the_next_is_read(
        self, write, read, texts, dead, monkeypatch
    ):
        monkeypatch.setattr(mbox, "MAXIMUM_MAIL_BYTES", 2000)
        data = b"From a\nSubject: 1\n\n" + b"x" * 70_000 + b"\n\nFrom b\nSubject: 2\n\nshort\n"
        found = read(write(data, "a.mbox"), "documents")
        assert texts(found) == ["2\n\nshort"]
        assert dead(found)[0].offset == 0
        assert "more than 2000 bytes" in dead(found)[0].error

    def test_what_is_no_mailbox_is_dead(self, write, read, dead):
        assert "not a mailbox" in dead(read(write(b"rubbish", "a.mbox"), "documents"))[0].error
        assert read(write(b"", "a.mbox"), "documents") == []

    def test_a_broken_mail_says_where_it_begins(self, write, read, dead):
        data = b"From a\nSubject: 1\n\none\n\nFrom b\n\nno header\n"
        (letter,) = dead(read(write(data, "a.mbox"), "documents"))
        assert letter.offset == data.index(b"From b")
        assert letter.name


def test_a_real_pdf_has_the_words_of_its_source(read):
    """Debian's developer's reference, printed: nearly all words of its source are in it."""
    folder = fetch_deb("developers-reference") / "usr" / "share"
    (path,) = folder.rglob("developers-reference.pdf*")
    sources = sorted(folder.rglob("_sources/*.rst.txt"))
    assert path.suffix == ".pdf"
    (found,) = read(path, "documents")
    words = set(found.text.split())
    gold = " ".join(each.read_text() for each in sources).split()
    plain = [word for word in gold if word.isalpha()]
    assert sum(word in words for word in plain) > 0.95 * len(plain)
