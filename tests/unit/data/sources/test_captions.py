"""Captions: cues to running text, in all three formats, and what rolls."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import Text, Unreadable, captions
from pipelines.sources.captions import Cue

SRT = """1
00:00:01,000 --> 00:00:03,500 X1:10 X2:20 Y1:1 Y2:2
<i>The ship left the harbour</i>
{\\an8}before the storm

2
00:00:03,600 --> 00:00:06,000
had reached the coast.

3
00:00:10,000 --> 00:00:12,000
- <font color="#ff0000">Who goes there?</font>
- Nobody, sir.

4
00:00:12,100 --> 00:00:14,000
[Music] \u266a La la \u266a
1984

It was 3 < 4 & -5 degrees.
"""
SAID = (
    "The ship left the harbour before the storm had reached the coast.\n"
    "Who goes there?\nNobody, sir. La la 1984 It was 3 < 4 & -5 degrees."
)

VTT = """WEBVTT - a title
Kind: captions
Language: en-GB

STYLE
::cue(b) { color: red }

NOTE This is a note
of two lines

intro
00:01.000 --> 00:03.500 align:start position:0%
<v Mary Smith>I &amp; you &lt;3</v>&nbsp;all

REGION
id:fred

00:00:03.600 --> 00:00:06.000 line:0
<c.yellow.bg_blue>of this</c> <lang de>Zeit</lang><ruby>\u6f22<rt>kan</rt></ruby>

00:00:07.000 --> 00:00:08.000
<v.loud John>Yes.
"""

SBV = """0:00:01.000,0:00:03.500
one[br]two

0:00:03.600,0:00:06.000
>> three
four
"""

#: As YouTube writes what its speech recognition heard.
ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
@
hello<00:00:00.480><c> everyone</c><00:00:00.800><c> and</c><00:00:01.000><c> welcome</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
hello everyone and welcome
@

00:00:02.399 --> 00:00:04.710 align:start position:0%
hello everyone and welcome
to<00:00:02.800><c> my</c><00:00:03.040><c> channel</c><00:00:03.360><c> the</c>

00:00:04.710 --> 00:00:04.720 align:start position:0%
to my channel the
@

00:00:04.720 --> 00:00:07.000 align:start position:0%
to my channel the
the<00:00:05.000><c> topic</c><00:00:05.300><c> is</c><00:00:05.500><c> [Applause]</c>

00:00:07.000 --> 00:00:07.010 align:start position:0%
the topic is [Applause]
@

00:00:07.010 --> 00:00:09.000 align:start position:0%
the topic is [Applause]
ships
""".replace("@", " ")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.srt", SRT, Text(SAID)),
        (
            "a.vtt",
            VTT,
            Text("I & you <3 all of this Zeit\u6f22\nYes.", language="en-GB"),
        ),
        ("a.sbv", SBV, Text("one two\nthree four")),
        (
            "a.en.vtt",
            ROLLING,
            Text("hello everyone and welcome to my channel the the topic is ships", language="en"),
        ),
    ],
)
class TestFormats:
    def test_cues_become_running_text(self, read, write, name, content, expected):
        assert read(write(content.encode(), name), "captions") == [expected]

    @pytest.mark.parametrize("ending", ["\r\n", "\r"])
    def test_line_ends_do_not_matter(self, read, write, name, content, expected, ending):
        data = content.replace("\n", ending).encode()
        assert read(write(data, name), "captions") == [expected]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be-bom", "utf-32"])
    def test_byte_order_marks_tell_the_encoding(
        self, read, write, name, content, expected, encoding
    ):
        if encoding == "utf-16-be-bom":
            data = b"\xfe\xff" + content.encode("utf-16-be")
        else:
            data = content.encode(encoding)
        assert read(write(data, name), "captions") == [expected]


class TestEncodings:
    def test_the_source_says_the_encoding(self, read, write):
        data = "1\n00:00:01,000 --> 00:00:02,000\nD\xe9j\xe0 vu\n".encode("cp1252")
        assert read(write(data, "a.srt"), "captions", encoding="cp1252") == [Text("Déjà vu")]

    def test_a_wrong_encoding_is_dead_at_its_byte(self, read, write):
        data = "1\n00:00:01,000 --> 00:00:02,000\nD\xe9j\xe0 vu\n".encode("cp1252")
        assert read(write(data, "a.srt"), "captions") == [Unreadable("not valid utf-8", offset=33)]


def srt(*cues):
    """A file of (start, end, text) in seconds."""

    def moment(seconds):
        return f"00:{int(seconds) // 60:02d}:{seconds % 60:06.3f}".replace(".", ",")

    return "\n\n".join(
        f"{number}\n{moment(start)} --> {moment(end)}\n{text}"
        for number, (start, end, text) in enumerate(cues, 1)
    ).encode()


class TestJoining:
    @pytest.mark.parametrize(
        ("cues", "text"),
        [
            ([(0, 1, "It rains"), (9, 10, "today.")], "It rains today."),
            ([(0, 1, "It rains."), (3.9, 5, "Today.")], "It rains. Today."),
            ([(0, 1, "It rains."), (4, 5, "Today.")], "It rains.\nToday."),
            ([(0, 1, "No."), (1, 2, "No."), (2.5, 3, "Yes."), (4, 5, "No.")], "No. No. Yes. No."),
            ([(0, 2, "Shadow"), (0, 2, "Shadow"), (3, 4, "man")], "Shadow man"),
            ([(0, 1, "- A\n- B"), (2, 3, "c")], "A\nB c"),
            ([(0, 1, "\u2014 \u00bfQu\u00e9?"), (2, 3, "-- Nada")], "\u00bfQu\u00e9?\nNada"),
            ([(0, 1, "minus\n-5 and -x")], "minus -5 and -x"),
            ([(0, 1, "{\\pos(1,2)}one\\Ntwo\\hthree")], "one two three"),
            ([(0, 1, "a<br/>b <b>c</b>d <3 x>y")], "a b cd <3 x>y"),
            ([(0, 1, "\u266a \u266a"), (1, 2, "[door slams]"), (2, 3, "x")], "x"),
        ],
    )
    def test_cues_are_joined(self, read, write, cues, text):
        assert read(write(srt(*cues), "a.srt"), "captions") == [Text(text)]

    def test_captions_that_grow_word_by_word(self, read, write):
        words = ["the", "quick", "brown", "fox", "jumps"]
        cues = [(i, i + 1, " ".join(words[: i + 1])) for i in range(5)]
        assert read(write(srt(*cues), "a.srt"), "captions") == [Text("the quick brown fox jumps")]

    def test_two_lines_that_roll_up(self, read, write):
        lines = [f"line number {i} of it" for i in range(6)]
        cues = [(i, i + 1, "\n".join(lines[max(0, i - 1) : i + 1])) for i in range(6)]
        assert read(write(srt(*cues), "a.srt"), "captions") == [Text(" ".join(lines))]

    def test_a_refrain_in_captions_written_by_hand_stays(self, read, write):
        cues = [
            (2 * i, 2 * i + 1, text) for i, text in enumerate(["Row", "row", "row", "your boat"])
        ]
        assert read(write(srt(*cues), "a.srt"), "captions") == [Text("Row row row your boat")]


class TestFaults:
    def test_a_cue_whose_times_are_none_costs_only_itself(self, read, write):
        data = srt((0, 1, "one"), (1, 2, "two"), (2, 3, "three")).replace(
            b"00:00:01,000 -->", b"1s -->"
        )
        assert read(write(data, "a.srt"), "captions") == [
            Unreadable("a cue whose times cannot be read", line=6),
            Text("one three"),
        ]

    @pytest.mark.parametrize("data", [b"", b"WEBVTT\n\n", b"1\n2\n3\n", b"Only words.\n"])
    def test_a_file_without_cues_is_dead(self, read, write, data):
        (found,) = read(write(data, "a.vtt"), "captions")
        assert "holds no captions" in found.error

    def test_binary_data_are_dead(self, read, write):
        (found,) = read(write(b"1\n00:00:01,000 --> 00:00:02,000\na\0b", "a.srt"), "captions")
        assert "NUL" in found.error

    def test_a_file_over_the_cap_is_dead(self, read, write, monkeypatch):
        monkeypatch.setattr("pipelines.sources.decoding.MAXIMUM_RECORD_BYTES", 100)
        (found,) = read(write(srt((0, 1, "x" * 100)), "a.srt"), "captions")
        assert "larger than 100 bytes" in found.error


WORDS = st.lists(st.sampled_from(["a", "b", "c", "la", "no", "yes."]), min_size=1, max_size=4).map(
    " ".join
)


class TestAnything:
    @settings(max_examples=150)
    @given(
        st.lists(
            st.sampled_from(
                [
                    *("WEBVTT", "1", "", " ", "00:00:01,000 --> 00:00:02,000", "0:0:1.5,0:0:2.5"),
                    *("00:01.000 --> 00:02.000 line:0", "-->", "a --> b", "- hi", "<v A>x"),
                    *("NOTE", "{\\an8}", "&amp;", "[x]", "\u266a", "hello there", "<00:00:01.000>"),
                ]
            ),
            max_size=30,
        ).map("\n".join)
    )  # fmt: skip
    def test_parsing_never_fails(self, text):
        cues, broken = captions.parse(text)
        result = captions.running_text(cues)
        assert "-->" not in result
        assert result == result.strip()
        assert all(0 < line <= text.count("\n") + 1 for line in broken)

    @settings(max_examples=100)
    @given(st.lists(WORDS, min_size=1, max_size=8))
    def test_cues_apart_lose_nothing(self, lines):
        cues = [Cue(10.0 * i, 10.0 * i + 1, ((line, False),)) for i, line in enumerate(lines)]
        assert captions.running_text(cues).split() == " ".join(lines).split()

    @settings(max_examples=100)
    @given(st.integers(3, 12), st.integers(1, 3))
    def test_rolling_with_any_number_of_lines_says_each_once(self, count, shown):
        lines = [f"w{i}a w{i}b" for i in range(count)]
        cues = [
            Cue(
                float(i), i + 1.0, tuple((line, False) for line in lines[max(0, i - shown) : i + 1])
            )
            for i in range(count)
        ]
        assert captions.running_text(cues) == " ".join(lines)

    def test_long_files_take_time_in_proportion(self):
        text = "00:00:01,000 --> 00:00:02,000\n" + "word " * 200_000 + "\n\n"
        cues, _ = captions.parse(text + text + "00:00:01,000 --> 00:00:02,000\nx\n\n" * 3_000)
        assert captions.running_text(cues)
