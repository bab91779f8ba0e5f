"""Saved pages: what of a page is its text, and pages that no browser would like."""

import contextlib
import re
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import Passed, Text, Unreadable
from pipelines.web import charset, html_blocks, html_text
from tests.packages import fetch_deb

ONE = "The river rose over the fields that year, and the people moved all their boats to the hill."
TWO = "Nobody in the village had seen so much water, said those who were old enough to remember."
MENU = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("Home", "News", "About us"))


def extract(body, head="<title>Not text</title>"):
    return html_text.extract(f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>")


class TestExtraction:
    @pytest.mark.parametrize(
        "around",
        [
            f"<nav><ul>{MENU}</ul></nav>",
            f"<ul>{MENU}</ul>",
            f'<div class="main-menu"><ul>{MENU}</ul><p>{TWO}</p></div>',
            f'<div role="navigation"><p>{TWO}</p></div>',
            f"<footer><p>{TWO}</p></footer>",
            f'<div id="cookie-banner"><p>{TWO}</p></div>',
            f'<section role="complementary"><p>{TWO}</p></section>'.replace("section", "div"),
            f"<aside><p>{TWO}</p></aside>",
            f'<p style="display: none">{TWO}</p>',
            f"<p hidden>{TWO}</p>",
            f'<div aria-hidden="true">{TWO}</div>',
            f"<script>var a = '{TWO}';</script><style>p {{ }}</style>",
            f"<noscript><p>{TWO}</p></noscript><template><p>{TWO}</p></template>",
            f"<!-- {TWO} -->",
            f"<form><select><option>{TWO}</option></select><button>Send</button></form>",
            f"<svg><text>{TWO}</text></svg>",
            "<p>Log in</p>" * 9,
        ],
    )
    def test_what_surrounds_a_text_is_left_out(self, around):
        far = "<p>short</p>" * 4 if "Log in" in around else ""
        text = extract(f"{around}<p>{ONE}</p>{around}")
        if far:
            assert text.count("Log in") <= 2 * html_text.NEAR_BLOCKS
        else:
            assert text == ONE

    @pytest.mark.parametrize(
        "mark", ["<main>{}</main>", "<div role='main'>{}</div>", "<article>{}</article>"]
    )
    def test_the_marked_part_alone_is_taken(self, mark):
        assert (
            extract(f"<p>{TWO}</p>" + mark.format(f"<p>{ONE}</p><p>Short.</p>"))
            == f"{ONE}\n\nShort."
        )

    def test_a_mark_on_little_or_on_many_says_nothing(self):
        little = f"<main><p>Short.</p></main><p>{ONE}</p><p>{TWO}</p>"
        assert extract(little) == f"Short.\n\n{ONE}\n\n{TWO}"
        many = f"<article><p>{ONE}</p></article><article><p>{TWO}</p></article>"
        assert extract(many) == f"{ONE}\n\n{TWO}"

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (f"<h1>Title</h1><p>{ONE}</p>", f"Title\n\n{ONE}"),
            (f"<h1>Title</h1><h2>Part</h2><p>{ONE}</p>", f"Title\n\nPart\n\n{ONE}"),
            (f"<p>{ONE}</p><h2>Empty</h2>", ONE),
            (f"<h2>Empty</h2><h2>Part</h2><p>{ONE}</p>", f"Part\n\n{ONE}"),
            (f"<p>{ONE}</p><ul><li>one<li><p>two</p></ul>", f"{ONE}\n\n- one\n- two"),
            (f"<p>{ONE}<br>\n{TWO}</p>", f"{ONE}\n{TWO}"),
            (f"<p>{ONE}</p><table><tr><td>a</td><td>b</td></tr></table>", f"{ONE}\n\na b"),
            (f"<p>{ONE}</p><pre>if x:\n    y\n</pre>", f"{ONE}\n\nif x:\n    y"),
            (
                f"<p>{ONE}</p><pre><span class='hljs-comment'># why</span>\ny()</pre>",
                f"{ONE}\n\n# why\ny()",
            ),
            (f"<p>  {ONE}\n\t  </p>", ONE),
            (f"<p>a<b>b</b>c <i>d</i> &amp;&nbsp;&#x263a; {ONE}</p>", f"abc d & \u263a {ONE}"),
            (
                f"<p>See <a href=x>this</a> and <a href=y>that</a>. {ONE}</p>",
                f"See this and that. {ONE}",
            ),
            (f"<section id='handling-of-related-things-here'><p>{ONE}</p></section>", ONE),
            (f"<p>{ONE}</p><aside class='footnote'><p>{TWO}</p></aside>", f"{ONE}\n\n{TWO}"),
            (f"{ONE}", ONE),
            (f"<p>{ONE}<p>{TWO}", f"{ONE}\n\n{TWO}"),
            (f"<b><i><p>{ONE}</b></i></div></p>", ONE),
            ("", ""),
            ("<p>Short</p>", ""),
        ],
    )
    def test_blocks(self, body, expected):
        assert extract(body) == expected

    @pytest.mark.parametrize("name", ["hidden-xs", "has-sidebar", "col with-sidebar", "no-banner"])
    def test_names_of_the_whole_arrangement_say_nothing(self, name):
        menu = f'<div class="sidebar"><p>{TWO}</p></div>'
        assert extract(f'<div class="{name}"><p>{ONE}</p>{menu}</div>') == ONE

    def test_names_are_not_believed_where_hardly_anything_would_be_left(self):
        page = f'<div id="search"><p>{ONE}</p><p>{TWO}</p></div><p>Short and no more.</p>'
        assert extract(page).startswith(f"{ONE}\n\n{TWO}")

    def test_scripts_without_spaces(self):
        text = (
            "その年、川は畑の上にあふれ、村の人々は水が来る前に舟を丘の上に運んだと伝えられている"
        )
        assert extract(f"<ul>{MENU}</ul><p>{text}</p>") == text

    @pytest.mark.parametrize(
        "html", ["", " ", "<", "<!DOCTYPE html>", "plain", "\0", "<p", "</p>", "]]>"]
    )
    def test_hardly_a_page(self, html):
        assert html_text.extract(html) in ("", "plain")

    @pytest.mark.parametrize(
        ("unit", "end"),
        [
            *(("<div>", "</div>"), ("<b>", ""), ("<a href=x>", ""), ("<table><tr><td>", "")),
            *(
                ("<ul><li>", ""),
                ("<", ""),
                ("<!--", ""),
                ("<p class=a ", ""),
                ("&amp;", ""),
                ("</p>", ""),
            ),
            *(
                ("<font>", "</b>"),
                ("<font></b>", ""),
                ("<svg>", ""),
                ("<select>", ""),
                ("<form>", ""),
                ("<pre>", ""),
            ),
        ],
    )
    def test_100_000_nested_tags_take_no_more_than_a_second(self, unit, end):
        page = unit * 100_000 + f"<p>{ONE}</p>" + end * 100_000
        start = time.process_time()
        with contextlib.suppress(html_text.UnfitError):
            html_text.extract(page)
        assert time.process_time() - start < 8  # on a machine that does other things too

    def test_elements_may_nest_to_a_depth(self):
        many = "<br>" * html_blocks.CHECKED_TAGS
        deepest = "<div>" * html_blocks.MAXIMUM_DEPTH + ONE + many
        assert html_text.extract(deepest) == ONE
        with pytest.raises(html_text.UnfitError, match="nested deeper than 2000"):
            html_text.extract("<div>" + deepest)

    def test_tags_that_are_never_closed_count_no_deeper_than_what_holds_them(self):
        rows = f"<div><font><b><p>{ONE}</div>" * 3000
        assert html_text.extract(rows).count(ONE) == 3000

    @settings(max_examples=150)
    @given(
        st.lists(
            st.sampled_from(
                [
                    *(
                        "<p>",
                        "</p>",
                        "<div class='nav'>",
                        "</div>",
                        "<main>",
                        "</main>",
                        "<li>",
                        "<pre>",
                    ),
                    *(
                        "</pre>",
                        "<a href=x>",
                        "</a>",
                        "<h2>",
                        "</h2>",
                        "<br>",
                        "<nav>",
                        "</nav>",
                        "<",
                    ),
                    *(
                        "&",
                        "&#0;",
                        "&#xd800;",
                        "\0",
                        "<svg>",
                        "</svg>",
                        "word ",
                        "Two words. ",
                        "\n",
                    ),
                ]
            ),
            max_size=40,
        )
    )
    def test_no_mix_of_tags_is_an_error(self, tokens):
        text = html_text.extract("".join(tokens))
        assert "<p>" not in text
        assert text == text.strip()


class TestReader:
    def test_too_deep_a_page_is_dead(self, write, read):
        (letter,) = read(write(b"<div>" * 100_000, "a.html"), "html")
        assert "nested deeper" in letter.error

    def test_a_page(self, write, read):
        page = f"<html><body><p>{ONE}</p></body></html>".encode()
        assert read(write(page, "a.html"), "html") == [Text(ONE)]

    def test_its_own_encoding(self, write, read):
        page = f'<meta charset="windows-1251"><p>Река поднялась. {ONE}</p>'.encode("cp1251")
        assert read(write(page, "a.htm"), "html") == [Text(f"Река поднялась. {ONE}")]

    def test_what_is_passed_over(self, write, read):
        assert read(write(b"<p></p>", "a.html"), "html") == [Passed("no_text")]
        page = f'<meta name="robots" content="noai"><p>{ONE}</p>'.encode()
        assert read(write(page, "a.html"), "html") == [Passed("opt_out")]

    def test_a_page_over_the_cap_is_dead(self, write, read, monkeypatch):
        monkeypatch.setattr("pipelines.sources.html.MAXIMUM_RECORD_BYTES", 100)
        (letter,) = read(write(b"x" * 101, "a.html"), "html")
        assert letter == Unreadable("a page of more than 100 bytes")


RUSSIAN = "Река поднялась над полями в тот год, и жители перенесли лодки на холм. "
JAPANESE = "その年、川は畑の上にあふれ、村の人々は舟を丘の上に運んだという。"
SAMPLES = {
    "cp1251": RUSSIAN,
    "koi8-r": RUSSIAN,
    "euc_jp": JAPANESE,
    "shift_jis": JAPANESE,
    "gb18030": "那一年，河水漫过田野，村民把所有的船搬到了山上。",
    "euc_kr": "그 해에 강물이 들판 위로 넘쳤고, 사람들은 배를 옮겼다. ",
    "cp1252": "Cette année-là, la rivière déborda sur les champs, mais ils étaient prêts. ",
    "iso8859-2": "Tego roku rzeka wystąpiła z brzegów i zalała pola, a ludzie nieśli łodzie. ",
    "iso8859-7": "Εκείνη τη χρονιά το ποτάμι ανέβηκε πάνω από τα χωράφια. ",
    "cp1254": "O yıl nehir tarlaların üzerine taştı ve köylüler teknelerini tepeye taşıdılar. ",
    "cp1255": "באותה שנה עלה הנהר על השדות, ואנשי הכפר העבירו את כל סירותיהם אל הגבעה. ",
    "cp1256": "في ذلك العام ارتفع النهر فوق الحقول ونقل أهل القرية كل قواربهم إلى التل. ",
    "cp874": "ปีนั้นแม่น้ำท่วมทุ่งนา และชาวบ้านได้ย้ายเรือทั้งหมดขึ้นไปบนเนินเขาก่อนที่น้ำจะมาถึง ",
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_an_encoding_that_nobody_names_is_guessed(encoding):
    text = SAMPLES[encoding] * 4
    assert charset.decode(text.encode(encoding)) == text


@settings(max_examples=150)
@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_bytes_decode_or_do_not(data, content_type):
    text = charset.decode(data, content_type)
    assert text is None or isinstance(text, str)


def test_the_chapters_of_a_real_book_have_the_words_of_their_source():
    """Debian's developer's reference: reStructuredText beside the pages made of it."""
    folder = fetch_deb("developers-reference") / "usr" / "share" / "developers-reference"
    sources = sorted(folder.glob("_sources/*.rst.txt"))
    assert len(sources) == 10
    found, expected, common = 0, 0, 0
    for source in sources:
        page = folder / (source.name.removesuffix(".rst.txt") + ".html")
        text = html_text.extract(page.read_text())
        assert not re.search("Quick search|Previous topic|Show Source|Created using|\u00b6", text)
        prose = re.sub(r"[:\w-]*:`|<[^>]*>|^\.\. .*$", " ", source.read_text(), flags=re.M)
        got, gold = (Counter(re.findall(r"[a-z]{2,}", each.lower())) for each in (text, prose))
        found, expected = found + got.total(), expected + gold.total()
        common += (got & gold).total()
    assert common > 0.97 * expected
    assert common > 0.97 * found
