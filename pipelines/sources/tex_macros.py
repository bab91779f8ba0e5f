r"""A stream of TeX tokens that takes arguments and expands the macros that the source defines.

Expansion is bounded, by a number and by the length of the source: what comes to more ends in
`EndlessError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.sources import tex_commands, tex_lexer

#: What macros may cost, in tokens that they come to: in any source, and for each character of it.
MAXIMUM_TOKENS, TOKENS_PER_CHARACTER = 200_000, 2
#: What each costs beside its tokens.
_MACRO_COST = 10
#: Begins the token of a command in the meaning that TeX gives it, whatever the source defines.
PRIMITIVE = "\0c"
#: Tokens within square brackets; more are no options.
_OPTION_TOKENS = 100


class EndlessError(Exception):
    """Macros expand to more than any paper has."""


class Macro(NamedTuple):
    """What a command stands for.

    Args:
        arguments: How many it takes.
        default: Of the first argument, which then stands in square brackets; None: it does not.
        body: Its tokens, with #1 to #9 for the arguments.
    """

    arguments: int
    default: tuple[str, ...] | None
    body: tuple[str, ...]


class Tokens:
    """A stream of tokens that what was taken, or what a macro stands for, can be put back to."""

    def __init__(self, first: Iterable[str]) -> None:
        self._streams = [iter(first)]
        self._left = MAXIMUM_TOKENS

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        token = self.take()
        if token is None:
            raise StopIteration
        return token

    def take(self) -> str | None:
        """The next token; None at the end."""
        while self._streams:
            token = next(self._streams[-1], None)
            if token is not None:
                return token
            self._streams.pop()
        return None

    def put_back(self, *tokens: str) -> None:
        """Puts tokens before all others."""
        self._streams.append(iter(tokens))

    def insert(self, tokens: Iterable[str], cost: int) -> None:
        """Puts the tokens of a macro, or of a file, before all others.

        Args:
            tokens: The tokens.
            cost: How much it counts.

        Raises:
            EndlessError: It counts too much, with what was inserted before.
        """
        self._left -= cost
        if self._left < 0:
            raise EndlessError
        self._streams.append(iter(tokens))

    def allow(self, source: str) -> None:
        """Lets macros come to as much more as a source of this length may need."""
        self._left += TOKENS_PER_CHARACTER * len(source)

    def stop(self) -> None:
        """Leaves nothing."""
        self._streams.clear()

    def after_blanks(self) -> str | None:
        """The next token that is not white space, without the white space before it."""
        while (token := self.take()) is not None:
            if token := token if token[0] == "\0" else token.lstrip():
                return token
        return None

    def skip_blanks(self) -> None:
        """Passes over white space that does not end a paragraph."""
        token = self.take()
        if token is None:
            return
        plain = token.lstrip()
        if token[0].isspace() and token[: len(token) - len(plain)].count("\n") < 2:
            token = plain
        if token:
            self.put_back(token)

    def argument(self) -> list[str]:
        """The next argument: what a group holds, or one token, or one character of text."""
        token = self.after_blanks()
        if token is None:
            return []
        if token == "{":
            return self._group()
        if token == "}":
            self.put_back(token)
            return []
        if token[0] not in "\\\0#$" and len(token) > 1:
            self.put_back(token[1:])
            return [token[0]]
        return [token]

    def _group(self) -> list[str]:
        taken: list[str] = []
        depth = 1
        for token in self:
            depth += (token == "{") - (token == "}")
            if not depth:
                break
            taken.append(token)
        return taken

    def name(self) -> str:
        """An argument that is a name, as a string."""
        return "".join(self.argument()).strip()

    def option(self) -> list[str] | None:
        """What stands in square brackets right here; None if nothing does."""
        token = self.take()
        if token != "[":
            if token is not None:
                self.put_back(token)
            return None
        taken: list[str] = []
        depth = 0
        while (token := self.take()) is not None:
            if token == "]" and depth == 0:
                return taken
            taken.append(token)
            depth += (token == "{") - (token == "}")
            if token == "[" or len(taken) > _OPTION_TOKENS or tex_lexer.PARAGRAPH.search(token):
                break
        self.put_back("[", *taken)
        return None

    def skip_length(self) -> None:
        """Passes over the length that TeX reads here: a number and a unit, or another length."""
        token = self.take()
        if token is None:
            return
        length = tex_commands.LENGTH.match(token) if token[0] not in "\\\0{}$" else None
        rest = token[length.end() :] if length else token
        if not rest and not any(char.isalpha() for char in token):  # the unit is yet to come
            rest = self.take() or ""
        if rest and rest[1:] not in tex_commands.LENGTHS:
            self.put_back(rest)

    def expand(self, macro: Macro) -> None:
        """Puts what a macro stands for here, with its arguments, which come next.

        Raises:
            EndlessError: It is too much.
        """
        given: list[list[str]] = []
        if macro.default is not None:
            option = self.option()
            given.append(list(macro.default) if option is None else option)
        while len(given) < macro.arguments:
            given.append(self.argument())
        parts = [_filled(token, given) for token in macro.body]
        cost = _MACRO_COST + sum(map(len, parts))
        self.insert((token for part in parts for token in part), cost)


def _filled(token: str, given: list[list[str]]) -> list[str]:
    """A token of a macro's body, or the argument that it stands for."""
    if token[0] != "#":
        return [token]
    number = int(token[1]) if token[1:].isdecimal() else 0
    return given[number - 1] if 0 < number <= len(given) else []
