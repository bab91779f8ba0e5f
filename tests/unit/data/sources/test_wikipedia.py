"""Dumps of Wikipedia: wikitext to text, and what of a dump is an article."""

import bz2
import gzip
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from pipelines.sources import KINDS, Passed, Text, Unreadable, bzip2, compressed, wikitext
from tests.packages import fetch_pip

SOURCE = config.Source(name="s", kind="wikipedia", path="unused")

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="fr">
  <siteinfo>
    <sitename>Wikipédia</sitename>
    <base>https://fr.wikipedia.org/wiki/Accueil</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Média</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Discussion</namespace>
      <namespace key="6" case="first-letter">Fichier</namespace>
      <namespace key="14" case="first-letter">Catégorie</namespace>
    </namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"


def page(title, text, ns="<ns>0</ns>", more="", model="wikitext"):
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return f"""  <page>
    <title>{title}</title>
    {ns}
    <id>7</id>
    {more}
    <revision>
      <id>8</id>
      <timestamp>2024-03-01T12:30:05Z</timestamp>
      <contributor><username>Someone</username><id>9</id></contributor>
      <comment>text of a comment</comment>
      <model>{model}</model>
      <text bytes="5" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def dump(*pages):
    return (HEAD + "".join(pages) + TAIL).encode()


WIKITEXT = [
    ("plain text", "plain text"),
    ("'''Bold''', ''italic'' and '''''both'''''.", "Bold, italic and both."),
    (
        "A [[link]], [[target|label]]s, [[a#b]], [[:Category:X]].",
        "A link, labels, a#b, Category:X.",
    ),
    ("[[Nile (river)|]] and [[Help:Wiki|]]", "Nile and Wiki"),
    ("[[File:a.jpg|thumb|A [[map]] of [[Nile|it]]]]Text", "Text"),
    ("[[Fichier:a.jpg|x]][[Image:b.png]]T", "T"),
    ("Text [[Category:Rivers]] [[fr:Nil]] [[zh-min-nan:Nile]]", "Text"),
    ("A [[wikt:river|river]] and [[fr:Nil|the French page]].", "A river and the French page."),
    ("a{{t}}b{{t|x={{u|{{{1|}}}}}|y}}c", "abc"),
    ("a{{t|[[b}}c", "ac"),
    ("a {{never closed and [[x|more]]", "a never closed and more"),
    ("a [[never closed {{t}} b", "a never closed  b".replace("  ", " ")),
    ("one }} two ]] three", "one two three"),
    ("{|class=x\n|-\n! head\n| cell || {{t}}\n{|\n| inner\n|}\n|}\nafter", "after"),
    ("before\n:{| \n| cell\n|}\nafter", "before\n\nafter"),
    ("x<ref>note [[a]] {{b</ref> y<ref name=z /> z<references />", "x y z"),
    ('x<ref name="a>b">note</ref>y', None),
    ("a<ref>never closed", "anever closed"),
    ("a<!-- comment -->b<!-- never closed", "ab"),
    ("<nowiki>''[[x]]{{y}}</nowiki> z", None),
    ("<math>x^2 + {{y}}</math> is", "$x^2 + {{y}}$ is"),
    ("<gallery>\nFile:a.jpg|x\n</gallery>\ntext<br/>more <small>s</small>", "text\nmore s"),
    ("a &amp; b&nbsp;c &lt;ref&gt; H&#x2082;O", "a & b c <ref> H\u2082O"),
    (
        "== One ==\n=== Two ===\ntext\n== Empty ==\n== Three ==\nmore",
        "One\n\nTwo\n\ntext\n\nThree\n\nmore",
    ),
    ("== Empty at the end ==\n{{reflist}}", ""),
    ("* one\n** two\n# three\n: four\n; five", "- one\n- two\n- three\nfour\nfive"),
    ("*\n* {{t}}\ntext", "text"),
    ("see [http://x.example the page], [http://x.example] and http://y.example/", None),
    ("[https://x.example label] [not a link]", "label [not a link]"),
    ("__NOTOC__text __FORCETOC__", "text"),
    ("Nile ({{lang|ar|x}}; {{t}}) is ({{t}}, a river)", "Nile is (a river)"),
    ("one\n\n\n\ntwo", "one\n\ntwo"),
    ("-{zh-hans:汉;zh-hant:漢}-字", "汉字"),
    ("<pre>a [[b]]</pre>", "a [[b]]"),
]


MARKUP = (
    *("{{", "}}", "{{{", "}}}", "{|", "|}", "[[", "]]", "[", "]", "|", "''", "'''", "=", "=="),
    *(
        "\n",
        "*",
        "#",
        ":",
        ";",
        "<ref>",
        "</ref>",
        "<ref/>",
        "<!--",
        "-->",
        "<nowiki>",
        "</nowiki>",
    ),
    *("a", "word.", "&amp;", "__TOC__", "-{", "}-", "http://x", "File:", "Category:", "fr:", "("),
    *(")", ",", " "),
)


class TestWikitext:
    @pytest.mark.parametrize(
        ("source", "expected"), [each for each in WIKITEXT if each[1] is not None]
    )
    def test_each(self, source, expected):
        hidden = wikitext.HIDDEN | {"fichier"}
        assert wikitext.to_text(source, hidden) == expected

    @settings(max_examples=200)
    @given(
        st.lists(
            st.sampled_from(MARKUP),
            max_size=60,
        )
    )
    def test_no_mix_of_markup_is_an_error_or_grows(self, tokens):
        source = "".join(tokens)
        text = wikitext.to_text(source)
        assert len(text) <= 2 * len(source) + 10

    @pytest.mark.parametrize(
        "unit",
        [
            *(
                "{{",
                "}}",
                "[[",
                "]]",
                "{|\n",
                "|}\n",
                "<ref>",
                "<!--",
                "<nowiki>",
                "[http://x ",
                "''",
            ),
            *(
                "[[a|",
                "{{a|[[b|",
                "=",
                "=\n",
                "==a==\n",
                "-{",
                "__A",
                "(",
                "( ,",
                "<a ",
                "&",
                ":",
                "* ",
            ),
            *(
                "<ref></ref",
                "{{}}",
                "[[]]",
                "[[File:",
                "<math>",
                " ",
                "\n",
                "{{{",
                "[[(",
                "a(b",
                "[//",
            ),
        ],
    )
    def test_time_grows_with_the_length_alone(self, unit):
        def seconds(size):
            source = "a" + unit * (size // len(unit)) + "b"
            start = time.process_time()
            wikitext.to_text(source)
            return time.process_time() - start

        assert seconds(100_000) < 1.0


class TestDumps:
    def test_an_article(self, write, read):
        path = write(dump(page("Le Nil", "'''Le Nil''' coule [[Fichier:a.jpg]].")), "a.xml")
        assert read(path, "wikipedia") == [
            Text(
                "Le Nil coule .",
                url="https://fr.wikipedia.org/wiki/Le_Nil",
                language="fr",
                timestamp="2024-03-01T12:30:05Z",
                name="Le Nil",
            )
        ]

    def test_the_language_of_the_source_wins(self, write, read):
        (found,) = read(write(dump(page("A", "b c")), "a.xml"), "wikipedia", language="en")
        assert found.language is None

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (page("A", "#REDIRECT [[B]]", more='<redirect title="B" />'), "redirect"),
            (page("A", "#REDIRECTION [[B]]"), "redirect"),
            (page("A", " #redirect: [[B]]"), "redirect"),
            (page("Discussion:A", "text", ns="<ns>1</ns>"), "not_an_article"),
            (page("Discussion:A", "text", ns=""), "not_an_article"),
            (page("A.css", "text", model="css"), "not_an_article"),
            (page("A", "{{t}}[[Catégorie:B]]"), "no_text"),
            (page("A", ""), "no_text"),
        ],
    )
    def test_what_is_no_article_is_passed_over(self, write, read, content, reason):
        found = read(write(dump(content), "a.xml"), "wikipedia")
        assert [each.reason for each in found] == [reason]

    def test_of_several_revisions_the_last_is_read(self, write, read, texts):
        old = page("A", "new").replace(
            "<revision>",
            "<revision><timestamp>2001</timestamp><text>old</text></revision><revision>",
        )
        assert texts(read(write(dump(old), "a.xml"), "wikipedia")) == ["new"]

    @pytest.mark.parametrize(
        ("name", "pack"),
        [
            ("a.xml", lambda data: data),
            ("a.xml.gz", gzip.compress),
            ("a.xml.bz2", bz2.compress),
            ("A.XML.BZ2", bz2.compress),
            ("b.xml.bz2", lambda data: bz2.compress(data[:1300]) + bz2.compress(data[1300:])),
        ],
    )
    def test_however_it_is_packed(self, write, read, texts, name, pack):
        data = dump(page("A", "one"), page("B", "two"))
        assert texts(read(write(pack(data), name), "wikipedia")) == ["one", "two"]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
    def test_utf_16(self, write, read, texts, encoding):
        text = dump(page("A", "Нил течёт")).decode()
        mark = "" if encoding == "utf-16" else "\ufeff"
        declaration = '<?xml version="1.0" encoding="UTF-16"?>\n'
        path = write((mark + declaration + text).encode(encoding), "a.xml")
        assert texts(read(path, "wikipedia")) == ["Нил течёт"]

    def test_another_encoding(self, write, read, texts):
        text = dump(page("A", "Cinéma")).decode()
        data = ('<?xml version="1.0" encoding="ISO-8859-1"?>' + text).encode("latin-1")
        assert texts(read(write(data, "a.xml"), "wikipedia")) == ["Cinéma"]


LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "'
    + "&a;" * 10
    + '"><!ENTITY c "'
    + "&b;" * 10
    + '">]>'
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


class TestFaults:
    @pytest.mark.parametrize(
        "declaration", [LAUGHS, OUTSIDE, '<!DOCTYPE x SYSTEM "http://x/x.dtd">']
    )
    def test_entities_are_refused(self, write, read, dead, texts, declaration):
        data = declaration.encode() + dump(page("A", "&a;&c;").replace("&amp;", "&"))
        found = read(write(data, "a.xml"), "wikipedia")
        assert "document type" in dead(found)[0].error
        assert texts(found) == []

    def test_an_entity_that_nobody_declared(self, write, read, dead):
        data = dump(page("A", "one"), page("B", "&x;").replace("&amp;", "&"))
        found = read(write(data, "a.xml"), "wikipedia")
        assert "undefined entity" in dead(found)[0].error
        assert dead(found)[0].line

    def test_a_dump_cut_short(self, write, read, dead, texts):
        data = dump(page("A", "one"), page("B", "two"))
        for cut in range(len(HEAD.encode()) + 5, len(data) - 10, 11):
            found = read(write(data[:cut], "a.xml"), "wikipedia")
            assert "cut short" in dead(found)[0].error
            assert texts(found) == ["one", "two"][: len(texts(found))]

    def test_a_packed_dump_cut_short(self, write, read, dead, texts):
        data = bz2.compress(dump(page("A", "one"))[: -len(TAIL)])
        more = bz2.compress((page("B", "two") + TAIL).encode())
        for cut in range(1, len(more), 9):
            found = read(write(data + more[:cut], "a.xml.bz2"), "wikipedia")
            assert texts(found) in (["one"], ["one", "two"])  # a block has a checksum of its own
            assert "cut short" in dead(found)[0].error

    def test_a_damaged_stream_costs_itself_alone(self, write, read, dead, texts):
        streams = [HEAD.encode(), *(page(name, f"text {name}").encode() for name in "ABC")]
        packed = [bz2.compress(each) for each in (*streams, TAIL.encode())]
        start = len(packed[0]) + len(packed[1])
        for at in range(12, len(packed[2]) - 12, 13):
            data = bytearray(b"".join(packed))
            data[start + at] ^= 16
            found = read(write(bytes(data), "a.xml.bz2"), "wikipedia")
            assert texts(found) == ["text A", "text C"]
            (letter,) = dead(found)
            assert f"stream at byte {start}" in letter.error

    def test_rubbish_is_dead(self, write, read, dead):
        for name in ("a.xml", "a.xml.bz2", "a.xml.gz"):
            (letter,) = read(write(b"rubbish of some length", name), "wikipedia")
            assert isinstance(letter, Unreadable)
            assert "rubbish" not in letter.error

    def test_an_empty_file_holds_nothing(self, write, read):
        assert read(write(b"", "a.xml.bz2"), "wikipedia") == []
        assert read(write(b"", "a.xml"), "wikipedia") == []

    def test_a_bomb_ends_the_file(self, write, read, dead, texts, monkeypatch):
        monkeypatch.setattr(compressed, "EXPANSION_ALWAYS_ALLOWED", 2**22)
        data = bz2.compress(dump(page("A", "one"))) + bz2.compress(bytes(2**24))
        found = read(write(data, "a.xml.bz2"), "wikipedia")
        assert "bomb" in dead(found)[0].error

    def test_a_page_over_the_cap_is_dead_and_the_next_is_read(
        self, write, read, dead, texts, monkeypatch
    ):
        monkeypatch.setattr("pipelines.sources.wikipedia.MAXIMUM_RECORD_BYTES", 1000)
        data = dump(page("A", "x" * 1001), page("B", "two"))
        found = read(write(data, "a.xml"), "wikipedia")
        assert texts(found) == ["two"]
        assert dead(found) == [Unreadable("a page of more than 1000 characters", name="A")]

    @settings(max_examples=60)
    @given(st.data())
    def test_whatever_is_changed_no_error_comes(self, tmp_path_factory, data):
        content = bytearray(dump(page("A", "one [[x]]"), page("B", "two")))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        path = tmp_path_factory.mktemp("wiki") / "a.xml"
        path.write_bytes(bytes(content))
        for found in KINDS["wikipedia"].read(path, SOURCE):
            assert isinstance(found, Text | Passed | Unreadable)


def test_blocks_of_bzip2_come_out_only_after_their_checksum(tmp_path):
    """A run of a million equal bytes is a block of a few dozen bytes."""
    path = tmp_path / "a.bz2"
    path.write_bytes(bz2.compress(b"a" * 40_000_000))
    assert sum(map(len, bzip2.pieces(path))) == 40_000_000
    data = bytearray(path.read_bytes())
    data[-15] ^= 1
    path.write_bytes(bytes(data))
    *_, last = bzip2.pieces(path)
    assert "damaged" in last.error


@pytest.fixture(scope="module")
def folder():
    return fetch_pip("gensim", "4.4.0") / "gensim" / "test" / "test_data"


@pytest.fixture(scope="module")
def english(folder, read):
    (path,) = folder.glob("enwiki-latest-pages-articles1.xml-*-shortened.bz2")
    return read(path, "wikipedia")


class TestRealDumps:
    """Those that come with gensim's tests: pieces of the real ones."""

    def test_every_page_of_the_english_one_is_counted(self, english, texts, passed, dead):
        assert len(english) == 206
        assert passed(english).count("redirect") == 100
        assert len(texts(english)) == 106 - passed(english).count("no_text")
        assert not dead(english)

    def test_no_markup_is_left(self, english):
        residue = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||<ref|</|^\||^=|'''|&nbsp;|\bthumb\|", re.M)
        texts = [each for each in english if isinstance(each, Text)]
        dirty = [each.name for each in texts if residue.search(each.text)]
        assert len(dirty) <= 0.05 * len(texts), dirty

    def test_the_first_article_reads_as_it_does_on_the_site(self, english):
        first = next(each for each in english if isinstance(each, Text))
        assert first.name == "Anarchism"
        assert first.url == "https://en.wikipedia.org/wiki/Anarchism"
        assert first.language == "en"
        assert first.text.startswith("Anarchism is a political philosophy that advocates")

    def test_one_in_utf_16_and_one_of_tables(self, folder, read, texts, dead):
        for path in folder.glob("*wiki-latest-pages-articles*.xml*.bz2"):
            found = read(path, "wikipedia")
            assert texts(found)
            assert not dead(found)
