r"""TeX source as tokens: commands, groups, mathematics, text; comments are left out.

Text that is not to be read as TeX (`\verb`, a listing, an address) is one token that begins with
`VERBATIM`, which no text holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Begins a token of text that stands in a line, or in lines of its own.
VERBATIM, VERBATIM_LINES = "\0i", "\0b"

PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
#: A command of letters: TeX passes over the blanks behind it.
LETTERS = re.compile(r"\\[a-zA-Z@]+\*?")

_TOKEN = re.compile(
    r"\\[a-zA-Z@]+\*?|\\.|\\"
    r"|%[^\n]*(?:\n[ \t]*)?"
    r"|\$\$|[{}$&~\[\]]|#[1-9#]?"
    r"|[^\\%{}$&~\[\]#]+",
    re.DOTALL,
)
_LISTING = re.compile(r"\s*\{(verbatim\*?|Verbatim\*?|BVerbatim|lstlisting|minted|alltt)\}")
_IGNORED = re.compile(r"\s*\{(comment|filecontents\*?)\}")
_OPTIONS = re.compile(r"[ \t]*(?:\[[^\]\n]*\])?[ \t]*(?:\{[^{}\n]*\})?[ \t]*\n?")
_BRACES = re.compile(r"\s*\{([^{}\n]*)\}")
_VERB = re.compile(r"([^a-zA-Z\s*])([^\n]{0,2000}?)\1")


def tokens(text: str) -> Iterator[str]:
    r"""Cuts TeX source into tokens, in time linear in its length.

    >>> list(tokens(r"A {\bf b}% c"))
    ['A ', '{', '\\bf', ' b', '}']
    """
    position = 0
    unclosed: set[str] = set()
    while position < len(text):
        found = _TOKEN.match(text, position)
        assert found is not None  # every character begins a token
        token, position = found[0], found.end()
        if token[0] == "%":
            if token[-1] in "\n \t" and text.startswith("\n", position):
                yield "\n\n"  # the line after the comment is blank
            continue
        if token == "\\begin":
            inner, position = _environment(text, position, unclosed)
            if inner is not None:
                yield from inner
                continue
        yield token
        if token in ("\\verb", "\\verb*"):
            found = _VERB.match(text, position)
        elif token in ("\\url", "\\href", "\\path", "\\nolinkurl"):
            found = _BRACES.match(text, position)
        else:
            continue
        if found:
            content = found[found.lastindex or 0]
            yield from ("{", VERBATIM + content, "}")
            position = found.end()


def _environment(text: str, position: int, unclosed: set[str]) -> tuple[list[str] | None, int]:
    r"""Takes an environment that is not TeX inside, behind its `\begin`.

    Args:
        text: The source.
        position: Behind `\begin`.
        unclosed: Environments of which no further end was found; asked for once each.

    Returns:
        What it comes to, None if it is an ordinary one, and where to go on.
    """
    found = _LISTING.match(text, position) or _IGNORED.match(text, position)
    if not found or found[1] in unclosed:
        return None, position
    closing = f"\\end{{{found[1]}}}"
    end = text.find(closing, found.end())
    if end < 0:
        unclosed.add(found[1])
        return None, position
    after = end + len(closing)
    if found.re is _IGNORED:
        return [], after
    options = _OPTIONS.match(text, found.end(), end)
    start = options.end() if options else found.end()
    return [VERBATIM_LINES + text[start:end].rstrip()], after
