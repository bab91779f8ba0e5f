"""How much of a program is comment, by a small lexer of strings and comments for each language.

It knows what begins a string and what begins a comment, and nothing else of a language: enough to
tell `"// no comment"` from one. Delimiters count as comment; of Python docstrings count too.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple


class Syntax(NamedTuple):
    """Strings and comments of a language.

    Args:
        line: What begins a comment that ends with its line; regular expressions.
        block: What begins and ends other comments.
        strings: Kinds of strings, names of `_STRINGS`.
        nested: Whether block comments hold block comments.
    """

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    strings: tuple[str, ...] = ("double",)
    nested: bool = False


_STRINGS = {
    "double": r'"(?:[^"\\\n]|\\.)*+"?',
    "single": r"'(?:[^'\\\n]|\\.)*+'?",
    "double_lines": r'"(?:[^"\\]|\\.)*+"?',
    "single_lines": r"'(?:[^'\\]|\\.)*+'?",
    "doubled": r"'[^']*+'?",  # a quote within it is written twice
    "character": r"'(?:\\[^\n]{1,10}?|[^\\'\n])'",
    "backtick": r"`(?:[^`\\]|\\.)*+`?",
    "python": r"(?P<python>(?P<quotes>\"{3}|'{3})(?:[^\\]|\\.)*?(?:(?P=quotes)|\Z))",
}
#: What the kinds begin with.
_QUOTES = {
    **dict.fromkeys(("double", "double_lines"), '"'),
    **dict.fromkeys(("single", "single_lines", "doubled", "character"), "'"),
    "backtick": "`",
    "python": "\"'",
}
_LOOK_BEHIND = re.compile(r"^\(\?<!.*?\)")
_C_BLOCK = (("/*", "*/"),)
_HASH = (r"(?<!\S)#",)

_C = Syntax(("//",), _C_BLOCK, ("double", "character"))
_SCRIPT = Syntax(("//",), _C_BLOCK, ("double", "single", "backtick"))
_NESTED = Syntax(("//",), _C_BLOCK, ("double_lines", "character"), nested=True)
_SHELL = Syntax(_HASH, (), ("double_lines", "single_lines"))
_LISP = Syntax((";",), (("#|", "|#"),), ("double_lines",), nested=True)
_MARKUP = Syntax((), (("<!--", "-->"),), ())

SYNTAXES: dict[str, Syntax] = {
    **dict.fromkeys(("C", "C++", "C#", "CUDA", "Java", "Objective-C", "Verilog", "GLSL"), _C),
    **dict.fromkeys(("Groovy", "Solidity", "Protocol Buffer", "SystemVerilog", "D"), _C),
    **dict.fromkeys(("JavaScript", "TypeScript", "JSX", "TSX", "Dart"), _SCRIPT),
    **dict.fromkeys(("Rust", "Swift", "Kotlin", "Scala"), _NESTED),
    **dict.fromkeys(("Shell", "Perl", "Awk", "Tcl"), _SHELL),
    **dict.fromkeys(("YAML", "TOML", "Dockerfile", "CMake"), Syntax(_HASH, (), ("double",))),
    **dict.fromkeys(("Common Lisp", "Scheme", "Racket"), _LISP),
    **dict.fromkeys(("Clojure", "Emacs Lisp"), Syntax((";",), (), ("double_lines",))),
    **dict.fromkeys(("HTML", "XML", "Vue", "Svelte"), _MARKUP),
    **dict.fromkeys(("SCSS", "Less"), Syntax((r"(?<!:)//",), _C_BLOCK, ("double", "single"))),
    **dict.fromkeys(("Ada", "VHDL"), Syntax(("--",))),
    **dict.fromkeys(("Fortran",), Syntax(("!",), (), ("double", "single"))),
    **dict.fromkeys(("MATLAB",), Syntax(("%",), (), ("double",))),
    "Assembly": Syntax((";", r"(?<!\S)#", "//"), _C_BLOCK, ("double",)),
    "CSS": Syntax((), _C_BLOCK, ("double", "single")),
    "CoffeeScript": Syntax(("#",), (("###", "###"),), ("double_lines", "single_lines")),
    "Elixir": Syntax(("#",), (), ("double_lines",)),
    "Elm": Syntax(("--",), (("{-", "-}"),), nested=True),
    "Erlang": Syntax(("%",)),
    "F#": Syntax(("//",), (("(*", "*)"),), ("double_lines",), nested=True),
    "Go": Syntax(("//",), _C_BLOCK, ("double", "character", "backtick")),
    "Haskell": Syntax((r"--(?![^\s\w'\"(),;\[\]`{}-])",), (("{-", "-}"),), nested=True),
    "Julia": Syntax(("#",), (("#=", "=#"),), ("double_lines",), nested=True),
    "Lua": Syntax(("--",), (("--[[", "]]"),), ("double", "single")),
    "Makefile": Syntax((r"(?<!\\)#",), (), ()),
    "Nim": Syntax(("#",), (("#[", "]#"),), nested=True),
    "OCaml": Syntax((), (("(*", "*)"),), ("double_lines",), nested=True),
    "PHP": Syntax(("//", r"#(?!\[)"), _C_BLOCK, ("double_lines", "single_lines")),
    "Pascal": Syntax(("//",), (("(*", "*)"), ("{", "}")), ("doubled",)),
    "PowerShell": Syntax((r"(?<!\S)#",), (("<#", "#>"),), ("double_lines", "doubled")),
    "Prolog": Syntax(("%",), _C_BLOCK),
    "Python": Syntax(("#",), (), ("python", "double", "single")),
    "R": Syntax(("#",), (), ("double_lines", "single_lines")),
    "Ruby": Syntax(_HASH, (("\n=begin", "\n=end"),), ("double_lines", "single_lines")),
    "SQL": Syntax(("--",), _C_BLOCK, ("doubled", "double")),
    "TeX": Syntax((r"(?<!\\)%",), (), ()),
    "Visual Basic": Syntax(("'",)),
    "Zig": Syntax(("//",), (), ("double", "character")),
}

_PREFIXES = frozenset("rRbBuUfF")
#: A docstring is a statement of its own: nothing goes on before it.
_GOES_ON = frozenset("([{,=+%\\")


def comment_characters(text: str, language: str | None) -> int | None:
    """How many characters of a program are comment.

    Args:
        text: The program.
        language: Its language, by the name that GitHub gives it.

    Returns:
        The count; None for a language that has no row here.

    >>> comment_characters('x = "# no"  # yes', "Python")
    5
    """
    if language not in SYNTAXES:
        return None
    lexer, nested = _lexer(language), SYNTAXES[language].nested
    beginnings = _beginnings(language)
    count = position = 0
    while beginning := beginnings.search(text, position):
        found = lexer.match(text, beginning.start())
        position = found.end() if found else beginning.end()
        if not found:
            continue
        groups = found.groupdict()
        if groups["line"] is not None:
            count += position - found.start()
        elif groups["block"] is not None:
            position = _end_of_nested(text, found, language) if nested else position
            count += position - found.start()
        elif groups.get("python") and _is_docstring(text, found.start()):
            count += position - found.start()
    return count


@functools.cache
def _beginnings(language: str) -> re.Pattern[str]:
    """Finds characters that a comment or a string may begin with, much faster than the lexer."""
    syntax = SYNTAXES[language]
    first = {_LOOK_BEHIND.sub("", begin)[0] for begin in syntax.line}
    first |= {begin[0] for begin, _ in syntax.block}
    first |= set("".join(_QUOTES[kind] for kind in syntax.strings))
    return re.compile("[" + "".join(map(re.escape, sorted(first))) + "]")


@functools.cache
def _lexer(language: str) -> re.Pattern[str]:
    """Matches a comment or a string; of a block comment that nests its beginning."""
    syntax = SYNTAXES[language]
    never = r"(?!)"
    ends = [
        re.escape(begin) + ("" if syntax.nested else rf".*?(?:{re.escape(end)}|\Z)")
        for begin, end in syntax.block
    ]
    lines = [rf"(?:{begin})[^\n]*" for begin in syntax.line]
    strings = [_STRINGS[kind] for kind in syntax.strings]
    return re.compile(
        f"(?P<block>{'|'.join(ends) or never})|(?P<line>{'|'.join(lines) or never})"
        f"|{'|'.join(strings) or never}",
        re.DOTALL,
    )


@functools.cache
def _borders(language: str, begin: str) -> tuple[re.Pattern[str], str]:
    end = dict(SYNTAXES[language].block)[begin]
    return re.compile(f"{re.escape(begin)}|{re.escape(end)}"), end


def _end_of_nested(text: str, found: re.Match[str], language: str) -> int:
    """Where the block comment that begins here ends, with all that it holds."""
    borders, end = _borders(language, found[0])
    depth = 1
    for border in borders.finditer(text, found.end()):
        depth += -1 if border[0] == end else 1
        if not depth:
            return border.end()
    return len(text)


def _is_docstring(text: str, start: int) -> bool:
    """Whether a string begins its line, and no expression goes on there."""
    for _ in range(2):
        start -= text[start - 1 : start] in _PREFIXES
    before = text[max(0, start - 400) : start]
    plain = before.rstrip()
    begins_line = not plain or "\n" in before[len(plain) :]
    return begins_line and (not plain or plain[-1] not in _GOES_ON)
