"""Papers in TeX: what of them is text, how archives of them are read, and what is refused."""

import gzip
import io
import itertools
import json
import resource
import tarfile
import time
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import Passed, Text, Unreadable, latex, tex_macros, tex_text
from pipelines.sources.tex_macros import EndlessError
from tests import packages

PAPER = r"""
% A paper as people write them.
\documentclass[12pt]{article}
\usepackage[latin1]{inputenc} \usepackage{mymacros}
\newcommand{\R}{\mathbb{R}}
\newcommand*{\norm}[2][2]{\|#2\|_{#1}}
\def\be{\begin{equation}} \def\ee{\end{equation}}
\def\pair#1#2{#2 after #1}
\newtheorem{thm}{Theorem}[section]
\newif\ifdraft \drafttrue
\title{On \emph{Things}\thanks{Supported by no one}}
\author{A. Author \and B. Author\\ University}
\begin{document}
\maketitle
\begin{abstract}
We prove ``things'' --- all of them.% and more
\end{abstract}

\section*{Introduction}\label{sec:intro}
Let $x \in \R^n$, as in \cite{a,b} and \citep[p.~3]{c}. % a comment with $ and {
Its norm is $\norm{x}$, see also~(\ref{eq:1}) and Eq.~\eqref{eq:1}.
Costs fell by 50\% to \$3 \& more.\footnote{Not quite: $2$.}
Caf\'e na\"{\i}ve \c{c}a Gau\ss{} Erd\H{o}s \v{S}\'i\-ma \AA ngstr\"om.

\be E = m c^2 \label{eq:1} \ee
\pair{one}{two} \ifdraft draft \else final \fi \iffalse nothing \fi
\begin{thm}[Gauss]All primes are odd.\end{thm}
\begin{proof}Trivial.\end{proof}
\begin{figure}[t]
  \centering \includegraphics[width=3cm]{a.png}
  \caption{The \textbf{cap} of $z$.}
\end{figure}
\begin{tabular}{cc} a & b \\ c & d \end{tabular}
\begin{itemize} \item first \item[\bf Second:] thing \end{itemize}
Look at \url{http://a.b/c%20d_e}, \href{http://x.y/%7e}{here}, \verb|x % y|.
\begin{verbatim}
def f():
    return 1 % 2
\end{verbatim}
\vskip 1cm plus 2pt Last \textcolor{red}{words}\\[2pt] of all.
\bibliography{refs}
\begin{thebibliography}{9} \bibitem{a} Nobody. \end{thebibliography}
\end{document}
Never seen.
"""

EXPECTED = """On Things

Abstract

We prove “things” — all of them.

Introduction

Let $x \\in \\mathbb{R}^n$, as in and. Its norm is $\\|x\\|_{2}$, see also and Eq. \
Costs fell by 50% to $3 & more. Café naïve ça Gauß Erdős Šíma Ångström.

Not quite: $2$.

\\begin{equation}E = m c^2 \\end{equation}
two after one draft

Theorem (Gauss). All primes are odd.

Proof. Trivial.

The cap of $z$.

- first
Second: thing

Look at http://a.b/c%20d_e, here, x % y.

def f():
    return 1 % 2

Last words
of all."""


PAIRS = list(itertools.pairwise(ascii_lowercase[1:25]))


def converted(source, **kwargs):
    return tex_text.to_text(source, **kwargs)


class TestText:
    def test_a_paper_with_all_that_papers_have(self):
        assert converted(PAPER) == EXPECTED

    def test_equations_are_replaced(self):
        text = converted(PAPER, equations="replace")
        assert "Let [equation], as in and. Its norm is [equation], see also" in text
        assert "\n[equation]\ntwo after one" in text
        assert "\\" not in text.replace("\\url", "")
        assert text.count("[equation]") == 5

    def test_equations_are_dropped(self):
        text = converted(PAPER, equations="drop")
        assert "Let, as in and. Its norm is, see also" in text
        assert "m c^2" not in text
        assert "[equation]" not in text

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("", ""),
            ("plain words", "plain words"),
            ("a%b\n  c", "ac"),
            ("a% comment\n\nb", "a\n\nb"),
            ("100\\% % no", "100%"),
            ("a\n\n\n  \n b", "a\n\nb"),
            ("{\\bf bold} and {\\it x\\/}y", "bold and xy"),
            ("\\LaTeX\\ and \\TeX{} here", "LaTeX and TeX here"),
            ("\\'e\\'{e}\\'\\i \\~n \\c c", "ééí ñ ç"),
            ("a~b\\,c\\;d", "a b c d"),
            ("---``x''--`y'", "—“x”–'y'"),
            ("a $x$ b $$y$$ c", "a $x$ b\n$$y$$\nc"),
            ("$a$$b$", "$a$$b$"),
            ("\\(x\\) \\[y\\] z", "\\(x\\)\n\\[y\\]\nz"),
            ("$\\mbox{if $x$} y$ z", "$\\mbox{if $x$} y$ z"),
            ("an open $x here\n\nnext", "an open $x here$\n\nnext"),
            ("\\newcommand{\\x}{\\alpha}$\\x y$", "$\\alpha y$"),
            ("\\newcommand{\\x}[1]{<#1>}\\x{a}\\x b", "<a><b>"),
            ("\\newcommand\\x[2][d]{#1#2}\\x{a} \\x[c]{a}", "da ca"),
            ("\\def\\x#1{(#1)}\\def\\y{\\x}\\y{a}", "(a)"),
            ("\\def\\x(#1){[#1]}kept \\x(a)", "kept (a)"),
            ("\\let\\old\\alpha\\def\\alpha{\\old'}$\\alpha$", "$\\alpha'$"),
            ("\\let\\x=\\y\\def\\y{1}\\x\\y", "1"),
            ("\\newenvironment{q}[1]{<#1:}{>}\\begin{q}{a}b\\end{q}", "<a:b>"),
            ("\\DeclareMathOperator{\\Tr}{Tr}$\\Tr x$", "$\\operatorname{Tr}x$"),
            ("\\newcommand{\\R}{\\ensuremath{\\mathbb R}\\xspace}in \\R is", "in $\\mathbb R$ is"),
            ("\\begin{comment}a\\end{comment}b", "b"),
            ("\\begin{verbatim}x", "x"),
            ("\\iffalse a \\iftrue b \\else c \\fi d \\fi e", "e"),
            ("\\ifx\\a\\b c\\else d\\fi e", "e"),
            ("\\iftrue a\\else b\\fi c", "ac"),
            ("\\hspace{1em}a\\vspace*{2cm}b\\label{c}", "ab"),
            ("\\parindent=0pt\n\nText \\penalty10000 more", "Text more"),
            ("see (\\ref{a}--\\ref{b}) [\\cite{c}, \\cite{d}].", "see."),
            ("Refs.~\\cite{a}, \\cite{b}; \\cite{c} say", "Refs. say"),
            ("f() and (e.g. \\cite{x}) (see [\\cite{y}])", "f() and (see)"),
            ("\\section{A} b", "A\n\nb"),
            ("\\section[short]{A $x$}b", "A $x$\n\nb"),
            ("\\renewcommand{\\section}{x}\\section{A}", "A"),
            ("\\begin{align*}a&=b\\end{align*}", "\\begin{align*}a&=b\\end{align*}"),
            ("\\begin{equation}a\\begin{array}{c}b\\end{array}\\end{equation}",
             "\\begin{equation}a\\begin{array}{c}b\\end{array}\\end{equation}"),
            ("\\begin{tabular}{c}\\begin{tabular}{c}x\\end{tabular}\\end{tabular}y", "y"),
            ("\\begin{table}\\begin{tabular}{c}x\\end{tabular}\\caption{C}\\end{table}y", "C\n\ny"),
            ("}}{ a }\\end{x}", "a"),
            ("\\unknown[opt]{kept}", "kept"),
            ("a \\input{gone} b", "a b"),
            ("x \\bye y", "x"),
            ("#1 & ~ \\", ""),
        ],
    )  # fmt: skip
    def test_pieces(self, source, text):
        assert converted(source) == text

    def test_files_are_read_where_they_are_named(self):
        files = {"a": "A \\input b C", "b.tex": "B", "x/c": "\\newcommand{\\z}{Z}"}
        assert converted("\\input{a} \\import{x/}{c}\\z", find=files.get) == "A C Z"
        assert converted("\\include{b.tex}", find=files.get) == "B"


class TestBounds:
    @pytest.mark.parametrize(
        "source",
        [
            "\\def\\a{\\a}\\a",
            "\\def\\a{\\b}\\def\\b{\\a}\\a",
            "\\def\\a{x\\a}\\a",
            "".join(f"\\def\\a{c}{{\\a{d}\\a{d}}}" for c, d in PAIRS)
            + "\\def\\ay{x}\\ab",
            "\\newcommand{\\d}[1]{#1#1}" + "\\d{" * 40 + "x" + "}" * 40,
            "$\\def\\a{\\a}\\a$" + "\\def\\a{\\a}$\\a$",
        ],
        ids=["self", "two", "growing", "billion laughs", "doubled arguments", "mathematics"],
    )  # fmt: skip
    def test_macros_without_end_are_told(self, source, monkeypatch):
        monkeypatch.setattr(tex_macros, "MAXIMUM_TOKENS", 50_000)
        start = time.process_time()
        with pytest.raises(EndlessError):
            converted(source)
        assert time.process_time() - start < 15

    @pytest.mark.parametrize("text", ["x ", "words and words " * 10_000])
    def test_a_file_that_reads_itself_is_told(self, text):
        start = time.process_time()
        with pytest.raises(EndlessError):
            converted("\\input{a}", find=lambda _: text + "\\input{a}")
        assert time.process_time() - start < 15

    def test_a_long_paper_may_use_its_macros_as_often_as_it_likes(self):
        paper = "\\newcommand{\\x}[1]{\\textbf{#1}}" + "\\x{word} " * 50_000
        assert converted(paper).count("word") == 50_000

    @pytest.mark.parametrize(
        "source",
        [
            "{" * 100_000,
            "}" * 100_000,
            "\\textbf{" * 12_000,
            "\\begin{itemize}" * 6_000,
            "\\begin{verbatim}" * 6_000,
            "\\begin{equation}" * 6_000,
            "\\end{document" * 7_000,
            "$" * 100_001,
            "[" * 100_000,
            "\\unknown[" * 11_000,
            "\\cite{a} " * 11_000,
            "(" * 100_000,
            "(\\ref{a}" * 12_000,
            "\\footnote{" * 10_000,
            "%\n" * 50_000,
            "\\if" * 33_000,
            "\\item[" * 16_000,
            "\\verb1\\verb2" * 9_000,
            "\\\n " * 33_000,
            "\\vskip 1pt plus " * 6_000,
            " " * 100_000 + "x",
            "\n \n" * 33_000,
            "\\newcommand{\\x}[1]{" * 5_000,
            "\\def\\x#1" * 12_000,
            "\\url{" * 20_000,
            "\\caption{\\begin{figure}" * 4_000,
        ],
        ids=lambda source: repr(source[:12]),
    )
    def test_long_runs_take_time_in_proportion(self, source):
        start = time.process_time()
        converted(source)
        assert time.process_time() - start < 15


PIECES = st.sampled_from(
    [
        *("\\begin{", "\\end{", "document}", "equation}", "figure}", "verbatim}", "tabular}"),
        *("{", "}", "[", "]", "$", "$$", "%", "\n", "\n\n", "#1", "&", "~", "\\", " ", "a", "é"),
        *("\\def\\a", "\\newcommand{\\b}", "\\a", "\\b", "\\fi", "\\else", "\\iftrue"),
        *("\\section{", "\\cite{a}", "\\footnote{", "\\caption{", "\\item", "\\verb|", "\\("),
        *("\\url{", "\\vskip", "1pt", "\\newif\\ifz", "\\ifz", "\\input{f}", "\\title{", "\\left("),
        *("\\newenvironment{e}{", "\\begin{e}", "\\end{e}", "\\newtheorem{t}{T}", "\\begin{t}[n]"),
    ]
)  # fmt: skip


class TestAnything:
    @settings(max_examples=150)
    @given(st.lists(PIECES, max_size=40).map("".join), st.sampled_from(["keep", "replace", "drop"]))
    def test_never_fails_and_leaves_no_marks(self, source, equations):
        try:
            text = converted(source, equations=equations, find=lambda _: "\\a{x}$y$")
        except EndlessError:
            return
        assert "\0" not in text
        assert text == text.strip()

    @settings(max_examples=100)
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0\\{}$%&~#[]`'-")))
    def test_text_without_commands_is_itself_but_for_white_space(self, text):
        assert converted(text).split() == text.split()


def tar_of(files, *, compress=False, more=()):
    """A tar archive; `more` are headers of members that are no plain files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz" if compress else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return data.getvalue()


def member(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def small(text):
    return f"\\documentclass{{article}}\\begin{{document}}{text}\\end{{document}}".encode()


class TestFiles:
    def test_one_file(self, read, write):
        assert read(write(small("Hello."), "a.tex"), "latex") == [Text("Hello.")]
        packed = gzip.compress(small("Hello."))
        assert read(write(packed, "a.tex.gz"), "latex") == [Text("Hello.")]
        assert read(write(packed, "2301.00001.gz"), "latex") == [Text("Hello.")]

    @pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "2301.00001.gz"])
    def test_an_archive_of_one_paper(self, read, write, name):
        files = {
            "main.tex": small("Start. \\input{sections/one} \\include{two} \\input{missing}"),
            "sections/one.tex": b"One. \\input{sections/deep}",
            "sections/deep.tex": b"Deep.",
            "two.tex": b"\\documentclass{x} Two.",
            "fig.eps": b"%!PS-Adobe \0",
            "fig.pdf": b"%PDF",
            "refs.bib": b"@article{}",
        }
        path = write(tar_of(files, compress=not name.endswith(".tar")), name)
        assert read(path, "latex") == [Text("Start. One. Deep. Two.")]

    def test_macros_of_a_package_beside_the_paper(self, read, write):
        files = {
            "my.sty": "\\newcommand{\\who}{World} % caf\xe9".encode("latin-1"),
            "a.tex": small("").replace(b"\\begin", b"\\usepackage{amsmath,my}\\begin").replace(
                b"}\\end", b"}Hello \\who!\\end"
            ),
        }  # fmt: skip
        assert read(write(tar_of(files), "a.tar"), "latex") == [Text("Hello World!")]

    @pytest.mark.parametrize(
        ("files", "main"),
        [
            ({"b.tex": small("x"), "main.tex": small("x")}, "main.tex"),
            ({"b.tex": small("xx"), "c.tex": small("x")}, "b.tex"),
            ({"main.tex": b"text", "b.tex": small("x")}, "b.tex"),
            ({"main.tex": small("x"), "b.tex": small("\\input{main}")}, "b.tex"),
            (
                {"b.tex": b"% \\documentclass \\begin{document}" + b"x" * 99, "c.tex": small("")},
                "c.tex",
            ),
            ({"ms": small("x"), "macros.sty": b"\\documentclass \\begin{document}" * 9}, "ms"),
            (
                {
                    "main.tex": small("x"),
                    "b.tex": small("x"),
                    "00README.XXX": b"fig.eps ignore\nb.tex toplevelfile",
                },
                "b.tex",
            ),
            (
                {
                    "main.tex": small("x"),
                    "b.tex": small("x"),
                    "00README.json": json.dumps(
                        {"sources": [{"filename": "b.tex", "usage": "toplevel"}]}
                    ).encode(),
                },
                "b.tex",
            ),
            ({"main.tex": small("x"), "00README.json": b'{"sources": 3}'}, "main.tex"),
        ],
    )
    def test_the_main_file(self, files, main):
        assert latex.main_file(files) == main

    def test_many_papers_in_one_archive(self, read, write):
        inner = tar_of({"x.tex": small("Two. \\input y"), "y.tex": b"More."}, compress=True)
        files = {
            "0001/hep-th0001001.gz": gzip.compress(small("One.")),
            "0001/hep-th0001002.gz": inner,
            "0001/hep-th0001003.pdf": b"%PDF-1.2",
            "0001/hep-th0001004.gz": gzip.compress(b"%!PS-Adobe-2.0"),
            "0001/hep-th0001005.gz": gzip.compress(small("Cut."))[:-20],
            "0001/hep-th0001006.gz": gzip.compress(tar_of({"data.txt": b"1"})),
        }
        assert read(write(tar_of(files), "arXiv_src_0001_001.tar"), "latex") == [
            Text("One.", name="0001/hep-th0001001.gz"),
            Text("Two. More.", name="0001/hep-th0001002.gz"),
            Passed("not_tex", "0001/hep-th0001004.gz"),
            Unreadable(
                "ends in the middle of its compressed data: cut short",
                name="0001/hep-th0001005.gz",
            ),
            Unreadable("holds no TeX file", name="0001/hep-th0001006.gz"),
            Passed("no_source", "0001/hep-th0001003.pdf"),
        ]

    def test_declared_encodings(self, read, write):
        paper = "\\usepackage[latin1]{inputenc}" + small("café").decode()
        assert read(write(paper.encode("latin-1"), "a.tex"), "latex") == [Text("café")]
        plain = small("café").decode().encode("latin-1")
        (found,) = read(write(plain, "b.tex"), "latex")
        assert found.error == "not valid utf-8"
        assert read(write(plain, "b.tex"), "latex", encoding="latin-1") == [Text("café")]
        files = {"a.tex": small("\\input b"), "b.tex": b"caf\xe9"}
        (found,) = read(write(tar_of(files), "a.tar"), "latex")
        assert found == Unreadable("a file that it reads is not valid utf-8")

    def test_nothing_to_read(self, read, write):
        assert read(write(small("% only a comment\n"), "a.tex"), "latex") == [Passed("no_text")]
        assert read(write(b"words, no commands", "b.tex"), "latex") == [Passed("not_tex")]
        assert read(write(gzip.compress(b"%PDF-1.5 \\x"), "c.gz"), "latex") == [Passed("not_tex")]
        (found,) = read(write(tar_of({"a.txt": b"x"}), "d.tar"), "latex")
        assert found == Unreadable("holds no TeX file")

    def test_endless_macros_are_dead(self, read, write):
        (found,) = read(write(small("\\def\\a{\\a}\\a"), "a.tex"), "latex")
        assert found == Unreadable("its macros expand without end")


class TestRealPapers:
    """LaTeX's own example, as it is distributed."""

    @pytest.fixture
    def example(self):
        folder = packages.fetch_deb("texlive-latex-base")
        return next(folder.rglob("tex/latex/base/sample2e.tex"))

    def test_it_reads_as_it_is_printed(self, read, example):
        (found,) = read(example, "latex")
        paragraphs = found.text.split("\n\n")
        assert paragraphs[0] == "An Example Document"
        assert paragraphs[2] == "Ordinary Text"
        assert (
            "Quotation marks like “this” have to be handled specially, as do quotes within quotes:"
            " “ 'this' is what I just wrote, not 'that' ”."
        ) in found.text
        assert "These characters include the following: $ & % # { and }." in found.text
        assert "This is an example of a footnote." in paragraphs
        assert "formulas like \\( x-3y + z = 7 \\) or" in found.text
        for left_out in ("documentclass", "textit", "begin{quote}", "\\item", "Leslie Lamport"):
            assert left_out not in found.text

    def test_its_formulas_are_replaced(self, read, example):
        (found,) = read(example, "latex", latex={"equations": "replace"})
        assert "formulas like [equation] or [equation] or [equation]." in found.text
        assert "sum_{i}" not in found.text


class TestFaults:
    @pytest.mark.parametrize(
        ("info", "error"),
        [
            (member("../evil.tex", tarfile.REGTYPE), "a path that leaves the archive"),
            (member("a/../../evil.tex", tarfile.REGTYPE), "a path that leaves the archive"),
            (member("/etc/evil.tex", tarfile.REGTYPE), "an absolute path"),
            (member("C:\\evil.tex", tarfile.REGTYPE), "an absolute path"),
            (member("evil.tex", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
            (member("evil.tex", tarfile.LNKTYPE, "main.tex"), "a link"),
            (member("evil.tex", tarfile.CHRTYPE), "a device or pipe"),
            (member("evil.tex", tarfile.BLKTYPE), "a device or pipe"),
            (member("evil.tex", tarfile.FIFOTYPE), "a device or pipe"),
        ],
    )
    def test_members_that_are_refused_are_named_and_the_paper_stays(self, read, write, info, error):
        data = tar_of({"main.tex": small("Good\\input{evil}.")}, more=[info])
        for name, content, prefix in (
            ("a.tar", data, ""),
            ("b.tar", tar_of({"p.gz": gzip.compress(data)}), "p.gz/"),
        ):
            refused, paper = read(write(content, name), "latex")
            assert refused.error.startswith(error)
            assert refused.name == f"{prefix}{info.name}"
            assert paper.text == "Good."

    def test_input_stays_within_the_archive(self, read, write, tmp_path):
        (tmp_path / "secret.tex").write_text("SECRET")
        for name in ("../secret", "secret", str(tmp_path / "secret"), "x/../../secret", "~/secret"):
            files = {"main.tex": small(f"a \\input{{{name}}} b")}
            assert read(write(tar_of(files), "a.tar"), "latex") == [Text("a b")]

    @pytest.mark.parametrize("keep", [0.2, 0.5, 0.8, 0.97])
    @pytest.mark.parametrize("compress", [False, True])
    def test_an_archive_cut_short_gives_no_half_paper(self, read, write, keep, compress):
        files = {f"{i}.tex": f"part {i} ".encode() * 300 for i in range(8)}
        files = {"main.tex": small("Start.")} | files
        data = tar_of(files, compress=compress)
        data = (
            data if compress else data.rstrip(b"\0")
        )  # of the blocks that end it nothing is missed
        (found,) = read(write(data[: int(len(data) * keep)], f"a.tar{'.gz' * compress}"), "latex")
        assert "cut short" in found.error

    def test_papers_before_the_cut_are_kept(self, read, write, texts, dead):
        papers = {f"{i}.gz": gzip.compress(small(f"Paper {i}.") + b"%" * i) for i in range(9)}
        data = tar_of(papers)
        found = read(write(data[: 5 * 1024 + 520], "a.tar"), "latex")
        assert texts(found) == [f"Paper {i}." for i in range(5)]
        assert len(dead(found)) == 1

    def test_a_damaged_header_is_no_end(self, read, write, texts, dead):
        data = bytearray(tar_of({f"{i}.gz": gzip.compress(small(f"{i}")) for i in range(4)}))
        data[2 * 1024 + 10] ^= 1  # in the name of the third member
        found = read(write(bytes(data), "a.tar"), "latex")
        assert texts(found) == ["0", "1"]
        assert dead(found) == [Unreadable("not a whole tar archive: damaged or cut short")]

    def test_every_flipped_bit_of_a_packed_paper_is_noticed_or_harmless(self, read, write):
        data = gzip.compress(tar_of({"main.tex": small("The one text.")}))
        for index in range(0, len(data), 3):
            flipped = bytearray(data)
            flipped[index] ^= 0x20
            found = read(write(bytes(flipped), "a.tar.gz"), "latex")
            assert [each for each in found if isinstance(each, Text)] in (
                [],
                [Text("The one text.")],
            )
            assert found

    def test_a_bomb_in_a_bomb_stops(self, read, write, monkeypatch):
        monkeypatch.setattr(latex, "MAXIMUM_PAPER_BYTES", 10**6)
        bomb = gzip.compress(bytes(10**7))
        found = read(
            write(tar_of({"a.gz": bomb, "b.gz": gzip.compress(small("x"))}), "a.tar"), "latex"
        )
        assert found == [
            Unreadable("decompresses to more than 1000000 bytes", name="a.gz"),
            Text("x", name="b.gz"),
        ]

    def test_a_real_bomb_takes_little_memory(self, read, write):
        """Ten gigabytes in a member of ten megabytes."""
        bomb = gzip.compress(bytes(64 * 2**20), 9) * 160
        path = write(tar_of({"a.gz": bomb, "b.gz": gzip.compress(small("x"))}), "a.tar")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        bad, good = read(path, "latex")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert bad == Unreadable("decompresses to more than 134217728 bytes", name="a.gz")
        assert good == Text("x", name="b.gz")
        assert grown * 1024 < 500 * 2**20

    def test_a_paper_over_the_cap_is_dead(self, read, write, monkeypatch):
        monkeypatch.setattr(latex, "MAXIMUM_RECORD_BYTES", 2_000)
        files = {"a.tex": small("x" * 1_500), "b.tex": small("y" * 1_500)}
        (found,) = read(write(tar_of(files), "a.tar"), "latex")
        assert found == Unreadable("its TeX is larger than 2000 bytes")

    @pytest.mark.parametrize("name", ["a.tar", "a.gz", "a.tar.gz"])
    @pytest.mark.parametrize("data", [b"", b"rubbish", bytes(2000), b"\x1f\x8b rubbish"])
    def test_rubbish_is_dead(self, read, write, name, data):
        (found,) = read(write(data, name), "latex")
        assert isinstance(found, Unreadable | Passed)
