r"""Says in RE2, TensorFlow's regular expressions, what a `tokenizer.json` says in Oniguruma's.

Two things differ. RE2 has no lookahead: `\s+(?!\S)` takes a run of spaces but the last one, if
something follows. And each has its own version of Unicode, so that a letter of one may be none in
the other: the members of each class are read off the package `tokenizers`, and written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import tokenizers

from llm_keras.tokenizers.byte_pairs import GPT2, LLAMA3, QWEN2

LETTER, NUMBER, SPACE, NO_SPACE = r"\p{L}", r"\p{N}", r"\s", r"\S"
#: A space that ends no line; not in Oniguruma.
BLANK = r"\h"
#: The alternative that RE2 lacks.
LOOKAHEAD = r"|\s+(?!\S)"
#: Where the last of several spaces is cut off, as LOOKAHEAD does: at which space, before what. The
#: expressions of Llama and Qwen take line ends earlier, with all spaces before them.
LAST_SPACE = {GPT2: SPACE, LLAMA3: BLANK, QWEN2: BLANK}


class Cut(NamedTuple):
    """How to cut a text as an expression does."""

    before: str | None  #: Cut first wherever this ends ...
    after: str | None  #: ... and that begins.
    words: str  #: Then before and after every match of this.


def cut(expression: str) -> Cut:
    """What to do in RE2 for an expression that `byte_pairs` knows."""
    words = in_re2(expression.replace(LOOKAHEAD, ""))
    if LOOKAHEAD not in expression:
        return Cut(None, None, words)
    return Cut(in_re2(SPACE), in_re2(LAST_SPACE[expression] + NO_SPACE), words)


def in_re2(expression: str) -> str:
    r"""The expression with the members of its classes written out.

    >>> print(in_re2(r"a|[^\h]+")[:26])
    a|[^\x{9}\x{b}-\x{c}\x{20}
    """
    result, inside = "", False
    for part in re.findall(r"\\p\{.\}|\\.|.", expression, re.DOTALL):
        if part in ("[", "]"):
            inside = part == "["
        if part == NO_SPACE:
            result += f"[^{members(SPACE)}]"
        elif part in (LETTER, NUMBER, SPACE, BLANK):
            result += members(part) if inside else f"[{members(part)}]"
        else:
            result += part
    return result


@cache
def members(name: str) -> str:
    """The ranges of a class of characters, as they stand between brackets in RE2."""
    kept = members_of(r"[^\S\r\n]" if name == BLANK else name)
    return "".join(
        rf"\x{{{first:x}}}" + (rf"-\x{{{last:x}}}" if last > first else "") for first, last in kept
    )


def members_of(expression: str) -> Iterator[tuple[int, int]]:
    """First and last character of each range that the package's expression matches."""
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    pattern = tokenizers.Regex(f"(?:{expression})+")
    split = tokenizers.pre_tokenizers.Split(pattern, "removed", invert=True)
    for text, _ in split.pre_tokenize_str("".join(characters)):
        first, last = ord(text[0]), ord(text[-1])
        if first < 0xD800 <= last:  # the surrogates, which are no characters, lie between
            yield from ((first, 0xD7FF), (0xE000, last))
        else:
            yield first, last
