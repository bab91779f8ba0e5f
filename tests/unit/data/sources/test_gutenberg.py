"""Books of Project Gutenberg: the marks of thirty years, and what is left between them."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import Passed, Text, Unreadable, gutenberg

BOOK = "LOOMINGS\n\nCall me Ishmael. Some years ago, never mind\nhow long precisely.\n\nTHE END"

HEADER = """The Project Gutenberg EBook of Moby Dick, by Herman Melville

This eBook is for the use of anyone anywhere at no cost and with
almost no restrictions whatsoever.  You may copy it, give it away or
re-use it under the terms of the Project Gutenberg License included
with this eBook or online at www.gutenberg.org

Title: Moby Dick

Author: Herman Melville

Release Date: June, 2001  [Etext #2701]

Language: English

Character set encoding: UTF-8

"""

LICENCE = """
*** START: FULL LICENSE ***

THE FULL PROJECT GUTENBERG LICENSE
PLEASE READ THIS BEFORE YOU DISTRIBUTE OR USE THIS WORK
"""

SMALL_PRINT = """**Welcome To The World of Free Plain Vanilla Electronic Texts**

***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here?  You know: lawyers.
They tell us you might sue us if there is something wrong with
your copy of this etext.

"""

STARTS = [
    "*** START OF THE PROJECT GUTENBERG EBOOK MOBY DICK ***",
    "*** START OF THIS PROJECT GUTENBERG EBOOK MOBY DICK ***",
    "***START OF THE PROJECT GUTENBERG EBOOK MOBY DICK***",
    "*** START OF THE PROJECT GUTENBERG EBOOK, MOBY DICK ***",
    "*** START OF THIS PROJECT GUTENBERG EBOOK MOBY DICK OR THE WHALE,\nCOMPLETE ***",
    "*** START OF PROJECT GUTENBERG ETEXT MOBY DICK ***",
    "**START OF THE PROJECT GUTENBERG ETEXT MOBY DICK**",
    "*** START OF THE PROJECT GUTENBERG EBOOK MOBY DICK",
    SMALL_PRINT + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    SMALL_PRINT + "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.17.02*END*",
    "*** START OF THE PROJECT GUTENBERG EBOOK MOBY DICK ***\n\n"
    + SMALL_PRINT
    + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.10/04/01*END*",
]
ENDS = [
    "*** END OF THE PROJECT GUTENBERG EBOOK MOBY DICK ***",
    "*** END OF THIS PROJECT GUTENBERG EBOOK MOBY DICK ***",
    "***END OF THE PROJECT GUTENBERG EBOOK MOBY DICK***",
    "End of Project Gutenberg's Moby Dick, by Herman Melville",
    "End of the Project Gutenberg EBook of Moby Dick, by Herman Melville\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK MOBY DICK ***",
    "End of The Project Gutenberg Etext of Moby Dick, by Herman Melville",
    "The End of Project Gutenberg Etext of Moby Dick",
    "End of this Project Gutenberg Etext of Moby Dick",
    "Ende dieses Projekt Gutenberg Etextes".replace("Projekt", "Project"),
    "End of Project Gutenberg's Moby Dick\n\n"
    + SMALL_PRINT
    + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    SMALL_PRINT[SMALL_PRINT.index("***") :]
    + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    "",
]


def book(start=STARTS[0], body=BOOK, end=ENDS[0], header=HEADER):
    return f"{header}{start}\n\n\n{body}\n\n\n\n{end}\n{LICENCE}"


class TestMarks:
    @pytest.mark.parametrize("start", STARTS)
    @pytest.mark.parametrize("end", ENDS)
    def test_of_any_age_they_leave_the_book(self, read, write, start, end):
        (found,) = read(write(book(start, end=end).encode(), "a.txt"), "gutenberg")
        assert found == Text(BOOK, url="https://www.gutenberg.org/ebooks/2701", language="en")

    def test_line_ends_of_the_archive(self, read, write):
        data = book().replace("\n", "\r\n").encode("utf-8-sig")
        (found,) = read(write(data, "a.txt"), "gutenberg")
        assert found.text == BOOK

    @pytest.mark.parametrize(
        "lines",
        [
            "Produced by Daniel Lazarus, Jonesey, and David Widger",
            "Produced by Jonathan Ingram and the Online Distributed Proofreading\n"
            "Team at https://www.pgdp.net (This file was produced from images\n"
            "generously made available by the Internet Archive)",
            "E-text prepared by Juliet Sutherland\nand the team",
            "This eBook was produced by David Widger.",
            "This etext was prepared by A. Volunteer, Someplace, Texas",
            "Transcribed from the 1911 Macmillan edition by David Price, email x@y.org",
            "Scanned and proofed by A. Volunteer",
            "[Text file prepared by A. Volunteer]",
            "Produced by One\n\n\nHTML version by Two for Project Gutenberg",
        ],
    )
    def test_who_produced_the_file_is_no_book(self, read, write, lines):
        (found,) = read(write(book(body=f"{lines}\n\n\n{BOOK}").encode(), "a.txt"), "gutenberg")
        assert found.text == BOOK

    @pytest.mark.parametrize(
        "body",
        [
            "MACBETH\n\nPROLOGUE\n\nProduced at great cost was the crown.",
            "[Transcriber's Note: spelling kept.]\n\nText.",
            "Chapter the first.\n\n" * 12 + "This was written by hand, produced by toil.",
            "A history of printing\n\nGutenberg set his project in type.",
            "He said: *** start *** and\nso did the END of the project.",
        ],
    )
    def test_what_only_looks_like_it_stays(self, read, write, body):
        (found,) = read(write(book(body=body).encode(), "a.txt"), "gutenberg")
        assert found.text == body

    def test_a_book_under_copyright_has_a_licence_tag_of_its_own(self, read, write):
        start = "*** START OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK, MOBY DICK ***"
        (found,) = read(write(book(start).encode(), "a.txt"), "gutenberg")
        assert found.text == BOOK
        assert found.licence == "copyrighted"

    @pytest.mark.parametrize(("language", "tag"), [("French", "fr"), ("Klingon", None)])
    def test_the_header_names_the_language(self, read, write, language, tag):
        data = book().replace("Language: English", f"Language: {language}").encode()
        assert read(write(data, "a.txt"), "gutenberg")[0].language == tag


class TestEncodings:
    @pytest.mark.parametrize(
        ("named", "used"),
        [
            ("ISO-8859-1", "latin-1"),
            ("ISO Latin-1", "latin-1"),
            ("Windows-1252", "cp1252"),
            ("CP-1252", "cp1252"),
        ],
    )
    def test_the_header_names_the_encoding(self, read, write, named, used):
        text = book(body="Déjà vu").replace("encoding: UTF-8", f"encoding: {named}")
        (found,) = read(write(text.encode(used), "a.txt"), "gutenberg")
        assert found.text == "Déjà vu"

    def test_what_says_ascii_is_read_as_the_source_says(self, read, write):
        text = book(body="Déjà vu").replace("encoding: UTF-8", "encoding: ASCII")
        path = write(text.encode("latin-1"), "a.txt")
        assert read(path, "gutenberg", encoding="latin-1")[0].text == "Déjà vu"
        assert read(path, "gutenberg")[0].error == "not valid utf-8"


class TestFaults:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            BOOK,
            HEADER + BOOK,
            BOOK + "\n\n" + ENDS[0] + "\n",
            BOOK + "\n" + ENDS[0] + "\n" + STARTS[0] + "\n",
            SMALL_PRINT + BOOK,
        ],
    )
    def test_without_a_mark_of_the_beginning_a_file_is_dead(self, read, write, text):
        (found,) = read(write(text.encode(), "a.txt"), "gutenberg")
        assert isinstance(found, Unreadable)
        assert "no mark of where" in found.error

    def test_a_book_of_nothing_is_passed_over(self, read, write):
        assert read(write(book(body="Produced by X").encode(), "a.txt"), "gutenberg") != [Text("")]
        assert read(write(book(body="").encode(), "a.txt"), "gutenberg") == [Passed("no_text")]

    def test_binary_data_and_wrong_encodings_are_dead(self, read, write):
        (found,) = read(write(book(body="a\0b").encode(), "a.txt"), "gutenberg")
        assert "NUL" in found.error
        (found,) = read(write(book(body="é").encode("latin-1"), "a.txt"), "gutenberg")
        assert found.error == "not valid utf-8"

    def test_a_file_over_the_cap_is_dead(self, read, write, monkeypatch):
        monkeypatch.setattr("pipelines.sources.decoding.MAXIMUM_RECORD_BYTES", 100)
        (found,) = read(write(book().encode(), "a.txt"), "gutenberg")
        assert "larger than 100 bytes" in found.error

    @pytest.mark.parametrize(
        "text",
        [
            *(" " * 100_000, "*" * 100_000, "* " * 50_000, "\n" * 100_000, " \n" * 50_000),
            *("*** START OF " * 8_000, "*** START OF THE PROJECT GUTENBERG EBOOK\n" * 2_500),
            *("End of " * 15_000, "Fin de " * 15_000, "produced " * 11_000, "*END " * 20_000),
        ],
        ids=lambda text: repr(text[:12]),
    )
    def test_long_runs_take_time_in_proportion(self, text):
        start = time.process_time()
        gutenberg.book_start(text)
        gutenberg.body(text)
        assert time.process_time() - start < 8


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*STARTS, *ENDS, BOOK, LICENCE, "\n", "x", "* "]), max_size=8))
def test_any_order_of_marks_is_read(parts):
    text = "\n".join(parts)
    start = gutenberg.book_start(text)
    assert start is None or 0 < start <= len(text)
    assert "*** START: FULL LICENSE" not in gutenberg.body(text[start or 0 :])
