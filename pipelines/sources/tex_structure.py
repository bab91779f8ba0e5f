r"""What a TeX source defines: macros, environments, theorems and flags; and its conditions."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.sources import tex_commands, tex_lexer
from pipelines.sources.tex_macros import PRIMITIVE, Macro, Tokens


class Definitions:
    """Takes definitions from a stream of tokens.

    Args:
        tokens: The stream.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.macros: dict[str, Macro] = {}
        self.environments: dict[str, tuple[Macro, Macro]] = {}
        self.theorems: dict[str, list[str]] = {}
        self._flags = {"false": False, "true": True}
        self._takers: dict[str, Callable[[], None]] = {
            **dict.fromkeys(("newcommand", "renewcommand", "DeclareRobustCommand"), self._command),
            **dict.fromkeys(("providecommand", "newrobustcmd"), self._command),
            **dict.fromkeys(("def", "gdef", "edef", "xdef"), self._def),
            **dict.fromkeys(("newenvironment", "renewenvironment"), self._environment),
            "let": self._let,
            "DeclareMathOperator": self._operator,
            "newtheorem": self._theorem,
            "newif": self._flag,
            "else": self._skip_branch,
            "or": self._skip_branch,
            "fi": lambda: None,
        }

    def expand(self, token: str) -> bool:
        """Puts what a macro stands for in the place of its command; says whether it is one."""
        macro = self.macros.get(token[1:])
        if macro is None and token[-1] == "*" and (macro := self.macros.get(token[1:-1])):
            self._tokens.put_back("*")
        if macro is None:
            return False
        if tex_lexer.LETTERS.fullmatch(token) and not macro.arguments:
            self._tokens.skip_blanks()
        self._tokens.expand(macro)
        return True

    def take(self, name: str) -> bool:
        """Takes the definition or the condition that begins with this command; says so."""
        if taker := self._takers.get(name):
            taker()
        elif name.startswith("if") and name != "iff":
            self._condition(name[2:])
        elif name.endswith(("true", "false")) and self._stem(name) in self._flags:
            self._flags[self._stem(name)] = name.endswith("true")
            self._tokens.skip_blanks()
        else:
            return False
        return True

    def skip_environment(self, name: str) -> None:
        r"""Passes over everything up to the `\end` of an environment that was begun."""
        depth = 1
        for token in self._tokens:
            if token in ("\\begin", "\\end") and self._tokens.name() == name:
                depth += 1 if token == "\\begin" else -1
                if not depth:
                    return

    def _define(self, name: str | None, macro: Macro) -> None:
        if name and name not in tex_commands.STRUCTURE:
            self.macros[name] = macro

    def _name(self) -> str | None:
        found = next((token for token in self._tokens.argument() if token[0] == "\\"), None)
        return found[1:] if found else None

    def _parameters(self) -> tuple[int, tuple[str, ...] | None]:
        """How many arguments come, and what the first is by default: `[2][default]`."""
        count = "".join(self._tokens.option() or []).strip()
        default = self._tokens.option()
        number = int(count) if count in tuple("123456789") else 0
        return number, None if default is None or not number else tuple(default)

    def _command(self) -> None:
        name = self._name()
        self._tokens.skip_blanks()
        arguments, default = self._parameters()
        self._define(name, Macro(arguments, default, tuple(self._tokens.argument())))

    def _def(self) -> None:
        r"""`\def\name#1#2{...}`; where other signs set arguments off, it is passed over."""
        name = self._tokens.after_blanks()
        parameters = []
        for token in self._tokens:
            if token in ("{", "}"):
                self._tokens.put_back(token)
                break
            if token[0] == "#" or token.strip():
                parameters.append(token)
        body = tuple(self._tokens.argument())
        plain = parameters == [f"#{number}" for number in range(1, len(parameters) + 1)]
        if name and name[0] == "\\" and plain:
            self._define(name[1:], Macro(len(parameters), None, body))

    def _let(self) -> None:
        name, target = self._tokens.after_blanks(), self._tokens.after_blanks()
        if target and target[0] == "=":
            if rest := target[1:].lstrip():
                self._tokens.put_back(rest)
            target = self._tokens.after_blanks()
        if not (name and target and name[0] == target[0] == "\\"):
            return
        known = self.macros.get(target[1:])
        if known or target != name:
            self._define(name[1:], known or Macro(0, None, (PRIMITIVE + target,)))

    def _operator(self) -> None:
        name = self._name()
        self._define(name, Macro(0, None, ("\\operatorname", "{", *self._tokens.argument(), "}")))

    def _environment(self) -> None:
        name = self._tokens.name()
        arguments, default = self._parameters()
        begin = Macro(arguments, default, tuple(self._tokens.argument()))
        end = Macro(0, None, tuple(self._tokens.argument()))
        if name != "document":
            self.environments[name] = begin, end

    def _theorem(self) -> None:
        name = self._tokens.name()
        self._tokens.option()
        self.theorems[name] = self._tokens.argument()
        self._tokens.option()

    def _flag(self) -> None:
        token = self._tokens.after_blanks() or ""
        if token.startswith("\\if"):
            self._flags[token[3:]] = False

    @staticmethod
    def _stem(name: str) -> str:
        return name.removesuffix("true").removesuffix("false")

    def _condition(self, flag: str) -> None:
        """Goes on in the branch that holds; one that only TeX can decide is left out whole."""
        if flag not in self._flags:
            self._skip_branch()
        elif not self._flags[flag]:
            self._skip_branch(stop_at_else=True)
        else:
            self._tokens.skip_blanks()

    def _skip_branch(self, stop_at_else: bool = False) -> None:
        depth = 0
        for token in self._tokens:
            if token == "\\fi":
                if not depth:
                    break
                depth -= 1
            elif token == "\\else" and stop_at_else and not depth:
                break
            elif token.startswith("\\if") and token not in ("\\iff", "\\ifthenelse"):
                depth += 1
        self._tokens.skip_blanks()
