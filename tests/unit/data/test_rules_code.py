"""BigCode's rules: their limits, and comments beside those that Pygments finds."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras.data.rules import KEEP, code, comments

ROOT = Path(__file__).parents[3]


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("x" * 1000 + "\n" * 10, ""),
            ("x" * 1001 + "\n" * 11, "long_line"),
            ("x" * 100, ""),
            ("x" * 101, "mean_line_length"),
            ("x" * 200 + "\n\n", ""),
            ("x" * 201 + "\n\n", "mean_line_length"),
            ("", ""),
            ("\n", ""),
        ],
    )
    def test_lines(self, text, reason):
        assert code.line_lengths(text).reason == reason

    @pytest.mark.parametrize(
        ("text", "reason"),
        [("a---", ""), ("a----", "alphanumeric"), ("\u00e9\u4e2d-", ""), ("", "")],
    )
    def test_letters_and_digits(self, text, reason):
        assert code.alphanumeric(text).reason == reason

    @settings(max_examples=100)
    @given(st.text(st.characters(codec="utf-8"), min_size=1))
    def test_letters_and_digits_of_any_script(self, text):
        fraction = sum(map(str.isalnum, text)) / len(text)
        assert code.alphanumeric(text, fraction) == KEEP
        assert code.alphanumeric(text, fraction + 1e-9).reason == "alphanumeric"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("x" * 99 + "#", ""),
            ("x" * 100 + "#", "few_comments"),
            ("x" * 20 + "#" * 80, ""),
            ("x" * 20 + "#" * 81, "many_comments"),
            ("", ""),
        ],
    )
    def test_comments(self, text, reason):
        assert code.comments(text, "Python").reason == reason

    @pytest.mark.parametrize("language", [None, "", "JSON", "Brainfuck", "Markdown"])
    def test_of_unknown_languages_any_fraction_is_fine(self, language):
        assert code.comments("x" * 200, language) == KEEP

    def test_other_limits(self):
        assert code.line_lengths("x" * 10, longest=9).detail == "10 > 9"
        assert code.line_lengths("x" * 10, mean=9.5).detail == "10.00 > 9.5"
        assert code.alphanumeric("a-", minimum=0.6).detail == "0.500 < 0.6"
        assert code.comments("xxx#", "Python", minimum=0.3).detail == "0.2500 < 0.3"
        assert code.comments("xx##", "Python", maximum=0.4).detail == "0.500 > 0.4"


#: Language, program, and what of it is comment.
PROGRAMS = [
    ("Python", 'a = "# no"  # yes\n', "# yes"),
    ("Python", "'''doc'''\nx = '''no # no'''\n", "'''doc'''"),
    (
        "Python",
        'def f():\n    r"""doc\n    more"""\n    return (\n"""no""")',
        '"""doc\n    more"""',
    ),
    ("Python", "x = 'it\\'s # no' # yes", "# yes"),
    ("Python", "'''unclosed # no", "'''unclosed # no"),
    ("C", 'char *a = "/* no */"; /* yes */ int b; // yes\nc', "/* yes */// yes"),
    ("C", "char a = '\"'; // yes", "// yes"),
    ("C", "/* unclosed", "/* unclosed"),
    ("C", "/* a /* b */ c */", "/* a /* b */"),
    ("Rust", "/* a /* b */ c */ fn f<'a>(x: &'a str) {} // yes", "/* a /* b */ c */// yes"),
    ("JavaScript", "a = `// no ${x} /* no */`; // yes", "// yes"),
    ("Go", "a := `// no\n` /* yes */", "/* yes */"),
    ("Shell", "echo $# a#b '# no' # yes\n", "# yes"),
    ("Perl", "my $n = $#list; # yes", "# yes"),
    ("Ruby", 'puts "#{x}" # yes\n=begin\nall\n=end\n', "# yes\n=begin\nall\n=end"),
    ("PHP", "#[Attribute]\n$a = '# no'; # yes\n// yes", "# yes// yes"),
    ("SQL", "select 'it''s -- no' -- yes\n/* yes */", "-- yes/* yes */"),
    ("Lua", "a = '--no' --[[ yes\nyes ]] b -- yes", "--[[ yes\nyes ]]-- yes"),
    ("Haskell", "a --> b -- yes\n{- y {- y -} y -}", "-- yes{- y {- y -} y -}"),
    ("HTML", "<a href='<!-- yes -->'><!-- yes\n-->", "<!-- yes --><!-- yes\n-->"),
    ("Julia", "x = 1 #= a #= b =# c =# # yes", "#= a #= b =# c =## yes"),
    ("OCaml", '(* a (* b *) c *) let x = "(* no *)"', "(* a (* b *) c *)"),
    ("Fortran", "x = 'a ! no' ! yes", "! yes"),
    ("MATLAB", "x = y'; % yes", "% yes"),
    ("TeX", "50\\% no % yes", "% yes"),
    ("CSS", "a { b: url('/*no*/') } /* yes */", "/* yes */"),
    ("SCSS", "a { b: url(http://x) } // yes", "// yes"),
    ("YAML", "a: b#no # yes", "# yes"),
    ("Clojure", '(a "; no") ; yes', "; yes"),
    ("PowerShell", "<# yes #> $a # yes", "<# yes #># yes"),
    ("Pascal", "{ yes } a := 'it''s // no'; (* yes *) // yes", "{ yes }(* yes *)// yes"),
    ("Visual Basic", "a = \"' no\" ' yes", "' yes"),
]


class TestComments:
    @pytest.mark.parametrize(("language", "program", "comment"), PROGRAMS)
    def test_strings_are_none(self, language, program, comment):
        assert comments.comment_characters(program, language) == len(comment)

    def test_unknown_languages_have_no_count(self):
        assert comments.comment_characters("# x", "Brainfuck") is None

    def test_pygments_finds_as_many(self):
        """In the files of this repository and of the packages beside it."""
        lexers = pytest.importorskip("pygments.lexers")
        tokens = pytest.importorskip("pygments.token")
        kinds = (tokens.Comment, tokens.String.Doc)
        other = (tokens.Comment.Preproc, tokens.Comment.PreprocFile)
        packages = Path(pytest.__file__).parents[1]
        files = {
            "Python": sorted(ROOT.glob("llm_keras/*/*.py")) + sorted(packages.glob("rich/*.py")),
            "C++": sorted(packages.glob("pyarrow/include/arrow/util/*.h")),
            "CSS": sorted(packages.glob("*/**/static/*.css"))[:5],
        }
        aliases = {"Python": "python", "C++": "cpp", "CSS": "css"}
        near = total = 0
        for language, paths in files.items():
            lexer = lexers.get_lexer_by_name(aliases[language], stripnl=False, ensurenl=False)
            for path in paths[:: max(1, len(paths) // 12)]:
                text = path.read_text()
                if not 0 < len(text) < 20_000:
                    continue
                expected = sum(
                    len(value.rstrip("\n"))  # Pygments counts the end of the line
                    for kind, value in lexer.get_tokens(text)
                    if any(kind in each for each in kinds) and kind not in other
                )
                found = comments.comment_characters(text, language)
                near += abs(found - expected) <= 0.01 * len(text)
                total += 1
        assert total >= 20
        assert near >= 0.95 * total

    @settings(max_examples=200)
    @given(
        st.lists(
            st.sampled_from(
                [
                    *("/*", "*/", "//", "#", "--", "{-", "-}", "(*", "*)", '"', "'", "`"),
                    *('"""', "'''", "<!--", "-->", ";", "%", "=begin", "=end", "#=", "=#", " "),
                    *("x", "]]", "\\", "\n"),
                ]
            ),
            max_size=40,
        ).map("".join),
        st.sampled_from(sorted(comments.SYNTAXES)),
    )  # fmt: skip
    def test_any_program_has_between_none_and_all(self, program, language):
        assert 0 <= comments.comment_characters(program, language) <= len(program)

    @pytest.mark.parametrize(
        "piece", ["/*", "{-", "(*", "#|", '"', "'", '"""', "\\", "#=", "<!--", "--", "'\\", " "]
    )
    def test_long_runs_take_time_in_proportion(self, piece):
        program = piece * (100_000 // len(piece))
        for language in ("Python", "C", "Rust", "Haskell", "OCaml", "Julia", "HTML", "Lua", "SQL"):
            start = time.process_time()
            comments.comment_characters(program, language)
            assert time.process_time() - start < 3
