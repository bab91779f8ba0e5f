"""Equations of a TeX source: up to their end, with macros expanded."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources import tex_commands, tex_lexer
from pipelines.sources.tex_macros import Tokens
from pipelines.sources.tex_structure import Definitions

_UNNUMBERED = frozenset(("\\nonumber", "\\notag", "\\ensuremath"))


def take(tokens: Tokens, definitions: Definitions, closing: str, name: str | None) -> list[str]:
    r"""Takes the tokens of an equation that has begun.

    Args:
        tokens: The stream.
        definitions: The macros known by now.
        closing: What ends it, such as `$`; of an environment `\end`.
        name: The environment's name.

    Returns:
        Its tokens, without labels and references. One without an end, unless it is an environment,
        ends with its paragraph or its group.
    """
    return list(_take(tokens, definitions, closing, name))


def _take(
    tokens: Tokens, definitions: Definitions, closing: str, name: str | None
) -> Iterator[str]:
    depth = 0
    for token in tokens:
        if token == closing and name is not None:
            if (found := tokens.name()) == name:
                return
            yield f"\\end{{{found}}}"
        elif token == closing and depth <= 0:
            return
        elif token == "$$" and closing == "$" and depth <= 0:
            tokens.put_back("$")  # the end of one and the beginning of the next
            return
        elif name is None and token == "}" and depth <= 0:
            tokens.put_back(token)  # it was never closed
            return
        elif name is None and (ended := tex_lexer.PARAGRAPH.search(token)):
            yield token[: ended.start()]
            tokens.put_back(token[ended.start() :])
            return
        elif token[0] != "\\" or not _apart(token, tokens, definitions):
            depth += (token == "{") - (token == "}")
            yield token[2:] if token[0] == "\0" else token


def _apart(token: str, tokens: Tokens, definitions: Definitions) -> bool:
    """Takes what is no part of an equation: labels, references; expands macros."""
    if definitions.expand(token) or token in _UNNUMBERED:
        return True
    if token == "\\label" or tex_commands.REFERENCE.fullmatch(token[1:].rstrip("*")):
        tokens.argument()
        return True
    return False


def joined(tokens: list[str]) -> str:
    """Tokens as source again; a command is kept apart from a letter behind it."""
    parts: list[str] = []
    for token in tokens:
        if parts and token[:1].isalpha() and tex_lexer.LETTERS.fullmatch(parts[-1]):
            parts.append(" ")
        parts.append(token)
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)
