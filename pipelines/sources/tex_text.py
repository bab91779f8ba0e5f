r"""LaTeX and plain TeX to running text.

- The title, then what stands between `\begin{document}` and its end. Sections are lines of their
  own, items of lists begin with a dash, footnotes and captions follow their paragraph.
- Macros that the source defines (`\newcommand`, `\def`, `\let`, environments, theorems) are
  expanded; those whose arguments are set off by other signs than braces are passed over.
- Comments, authors, bibliography, tables, pictures and their placement are left out; references
  and citations too, with the brackets that held nothing else.
- Of an unknown command the arguments in braces are text.
- Conditions are followed where a flag (`\newif`) says how they end; others are left out.

It never fails, whatever the source; only `EndlessError` says that macros expand without end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from pipelines.sources import tex_commands, tex_equations, tex_lexer
from pipelines.sources.tex_macros import PRIMITIVE, EndlessError, Tokens
from pipelines.sources.tex_prose import Prose, without_references
from pipelines.sources.tex_structure import Definitions

__all__ = ["EndlessError", "to_text"]

Equations = Literal["keep", "replace", "drop"]
#: What a file that is read in costs beside its length: it may read itself.
_FILE_COST = 1000
#: What TeX sets as one sign; a single quote that opens becomes what one that closes is.
_LIGATURES = re.compile(r"``?|''|---?")
_LIGATURE = {"``": "“", "''": "”", "`": "'", "--": "–", "---": "—"}


def to_text(
    source: str,
    equations: Equations = "keep",
    find: Callable[[str], str | None] = lambda _name: None,
) -> str:
    r"""Turns the source of a paper into text.

    Args:
        source: Its main file.
        equations: keep: as LaTeX, with macros expanded; replace: one [equation] for each; drop.
        find: Gives the source of the file that `\input` and its like name, None if there is none.

    Raises:
        EndlessError: Its macros, or files, expand to more than any paper has.

    >>> to_text(r"\begin{document}\section{One} It is $x$~\cite{a}.\end{document}")
    'One\n\nIt is $x$.'
    """
    return _Converter(source, equations, find).run()


class _Converter:
    def __init__(
        self, source: str, equations: Equations, find: Callable[[str], str | None]
    ) -> None:
        self._tokens = Tokens(tex_lexer.tokens(source))
        self._tokens.allow(source)
        self._definitions = Definitions(self._tokens)
        self._read: set[str] = set()
        self._equations, self._find = equations, find
        self._prose = Prose()
        #: What is open: "{" or an environment's name, and what is to be done at its end.
        self._open: list[tuple[str, Callable[[], None] | None]] = []
        self._in_document = False

    def run(self) -> str:
        for token in self._tokens:
            self._take(token)
        return without_references(self._prose.finish())

    def _take(self, token: str) -> None:
        if token[0] == "\\":
            self._command(token)
        elif token == "{":
            self._open.append((token, None))
        elif token == "}":
            if self._open and self._open[-1][0] == "{":
                self._close()
        elif token in ("$", "$$"):
            self._mathematics(token, token, None)
        elif token[0] == "\0":
            self._verbatim(token)
        elif token in ("&", "~"):
            self._prose.blank()
        elif token[0] != "#":
            self._prose.write(_LIGATURES.sub(lambda found: _LIGATURE[found[0]], token))

    def _close(self) -> None:
        _, action = self._open.pop()
        if action:
            action()

    def _verbatim(self, token: str) -> None:
        content = token[2:]
        if token.startswith(PRIMITIVE):
            self._primitive(content)
        elif token.startswith(tex_lexer.VERBATIM):
            self._prose.raw(content)
        elif content:
            self._prose.paragraph()
            self._prose.raw(content)
            self._prose.paragraph()

    def _command(self, token: str) -> None:
        if not self._definitions.expand(token):
            self._primitive(token)

    def _primitive(self, token: str) -> None:
        """A command that the source does not define, or its old meaning."""
        name = token[1:]
        letters = name.rstrip("*")
        if not letters.isalpha() and "@" not in letters:
            self._sign(name)
        elif name in tex_commands.ACCENTS:
            self._accent(name)
        else:
            self._word(letters)

    def _sign(self, name: str) -> None:
        if name in tex_commands.ACCENTS:
            self._accent(name)
        elif name in ("(", "["):
            self._mathematics(f"\\{name}", {"(": "\\)", "[": "\\]"}[name], None)
        elif name == "\\":
            self._tokens.option()
            self._prose.line()
        elif (text := tex_commands.SIGNS.get(name, "")) == " ":
            self._prose.blank()
        else:
            self._prose.raw(text)

    def _accent(self, accent: str) -> None:
        base = "".join(self._tokens.argument()).strip()
        self._prose.raw(tex_commands.accented(base, accent) if base and "\0" not in base else "")

    def _word(self, name: str) -> None:
        """A command of letters that the source does not define."""
        handler = getattr(self, f"_on_{name}", None) if name.islower() else None
        if handler:
            handler()
        elif name in tex_commands.SYMBOLS:
            self._symbol(tex_commands.SYMBOLS[name])
        elif name in tex_commands.SECTIONS:
            self._tokens.option()
            self._group(self._prose.heading, self._prose.heading)
        elif tex_commands.REFERENCE.fullmatch(name):
            self._reference()
        elif name in tex_commands.DROPPED:
            for _ in range(tex_commands.DROPPED[name]):
                self._tokens.option()
                self._tokens.argument()
        elif name in tex_commands.LENGTHS:
            self._tokens.skip_length()
        elif not self._definitions.take(name):
            self._tokens.option()
            self._tokens.skip_blanks()

    def _symbol(self, text: str) -> None:
        self._prose.write(text)
        self._tokens.skip_blanks()

    def _reference(self) -> None:
        while self._tokens.option() is not None:
            pass
        self._tokens.argument()
        self._prose.reference()

    def _group(self, opened: Callable[[], None], closed: Callable[[], None]) -> None:
        """Does something before and after the group that follows; nothing if none does."""
        token = self._tokens.after_blanks()
        if token == "{":
            opened()
            self._open.append(("{", closed))
        elif token is not None:
            self._tokens.put_back(token)

    # What certain commands do; each is found by its name.

    def _on_title(self) -> None:
        self._tokens.option()
        self._group(self._prose.begin_aside, self._prose.end_title)

    def _on_footnote(self) -> None:
        self._tokens.option()
        self._group(self._prose.begin_aside, self._prose.end_note)

    _on_caption = _on_footnotetext = _on_footnote

    def _on_item(self) -> None:
        label = self._tokens.option()
        self._prose.line()
        if label is not None:
            self._tokens.put_back(*label, " ")
        else:
            self._prose.raw("-")
            self._prose.blank()

    def _on_par(self) -> None:
        self._prose.paragraph()
        self._tokens.skip_blanks()

    def _on_newline(self) -> None:
        self._prose.line()
        self._tokens.skip_blanks()

    _on_linebreak = _on_newline

    def _on_xspace(self) -> None:
        token = self._tokens.take()
        if token is not None:
            if token[0].isalnum() or token[0] in "($":
                self._prose.blank()
            self._tokens.put_back(token)

    def _on_ensuremath(self) -> None:
        self._tokens.put_back("$", *self._tokens.argument(), "$")

    def _on_input(self) -> None:
        token = self._tokens.after_blanks()
        if token == "{":
            self._tokens.put_back(token)
            name = self._tokens.name()
        else:
            name, *rest = (token or "").split(None, 1) or [""]
            self._tokens.put_back(*rest)
        self._include(name.strip())

    def _on_include(self) -> None:
        self._include(self._tokens.name())

    _on_subfile = _on_include

    def _on_import(self) -> None:
        folder = self._tokens.name()
        self._include(f"{folder.rstrip('/')}/{self._tokens.name()}")

    _on_subimport = _on_import

    def _on_usepackage(self) -> None:
        """Reads the macros of a package that lies beside the paper."""
        self._tokens.option()
        for name in self._tokens.name().split(","):
            self._include(f"{name.strip()}.sty")

    def _include(self, name: str) -> None:
        source = self._find(name) if name and "\0" not in name else None
        if source is None:
            return
        if name not in self._read:
            self._read.add(name)
            self._tokens.allow(source)
        self._tokens.insert(tex_lexer.tokens(source), _FILE_COST + len(source))

    def _on_begin(self) -> None:
        name = self._tokens.name()
        plain = name.rstrip("*")
        if name == "document":
            self._begin_document()
        elif name in self._definitions.environments:
            self._tokens.expand(self._definitions.environments[name][0])
        elif plain in tex_commands.MATHEMATICS:
            self._mathematics(f"\\begin{{{name}}}", "\\end", name)
        elif plain in tex_commands.LEFT_OUT:
            self._definitions.skip_environment(name)
            self._prose.paragraph()
        else:
            self._begin_text(name, plain)

    def _begin_text(self, name: str, plain: str) -> None:
        option = self._tokens.option()
        for _ in range(tex_commands.ENVIRONMENT_ARGUMENTS.get(plain, 0)):
            self._tokens.argument()
        is_float = plain in tex_commands.FLOATS
        self._prose.paragraph()
        if is_float:
            self._prose.begin_aside()
        self._open.append((name, self._prose.drop_aside if is_float else self._prose.paragraph))
        theorem = self._definitions.theorems.get(name)
        head = tex_commands.HEADED.get(plain)
        if theorem:
            note = [" (", *option, ")"] if option else []
            self._tokens.put_back(*theorem, *note, ". ")
        elif head and option:
            self._tokens.put_back(*option, ". ")
        elif head:
            self._prose.raw(head)
            (self._prose.blank if plain == "proof" else self._prose.paragraph)()

    def _on_end(self) -> None:
        name = self._tokens.name()
        if name == "document" or not (name or self._in_document):
            self._tokens.stop()
        elif name in self._definitions.environments:
            self._tokens.expand(self._definitions.environments[name][1])
        elif any(each == name for each, _ in self._open[-50:]):
            while self._open[-1][0] != name:
                self._close()
            self._close()

    def _on_bye(self) -> None:
        self._tokens.stop()

    def _begin_document(self) -> None:
        while self._open:
            self._close()
        self._prose.restart()
        self._in_document = True

    def _mathematics(self, opening: str, closing: str, name: str | None) -> None:
        """Takes an equation up to its end and writes what is to be left of it."""
        tokens = tex_equations.take(self._tokens, self._definitions, closing, name)
        inline = closing in ("$", "\\)") or name == "math"
        if self._equations == "drop":
            self._prose.reference()
            return
        end = f"\\end{{{name}}}" if name else closing
        text = (
            tex_equations.joined([opening, *tokens, end])
            if self._equations == "keep"
            else "[equation]"
        )
        if not inline:
            self._prose.line()
        self._prose.raw(text)
        if not inline:
            self._prose.line()
