"""One text, split into its parts once, however many rules look at it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import NamedTuple

from llm_keras.data.rules.language import Identified, identify_language
from llm_keras.data.rules.marks import LINE_ENDS
from llm_keras.data.rules.words import LONGEST_PIECE, MAXIMUM_PIECES, split_words

_LINE_FEEDS = re.compile(r"\n+")
_BLANK_LINES = re.compile(r"\n{2,}")
#: A word of these alone is a sign: datatrove's list of Western and Chinese punctuation and control
#: characters, and what ends sentences.
_SIGNS = (
    "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
    + "".join(map(chr, (*range(9), 11, 12, *range(13, 32), *range(127, 160))))
)
_SIGNS += "".join(LINE_ENDS)


SIGN, SPOKEN, ALPHABETIC = range(3)


class _Kinds(dict[str, int]):
    """Whether a word is a sign, has a letter, or neither; remembered for the next text."""

    def __missing__(self, word: str) -> int:
        if word.isalpha() or any(map(str.isalpha, word)):
            kind = ALPHABETIC
        else:
            kind = SPOKEN if word.strip(_SIGNS) else SIGN
        if len(word) <= LONGEST_PIECE:
            if len(self) >= MAXIMUM_PIECES:
                self.clear()
            self[word] = kind
        return kind


_KINDS = _Kinds()


class Totals(NamedTuple):
    """What the words of a text add up to.

    Args:
        words: Words and signs.
        spoken: Those that are no signs only.
        spoken_characters: Their characters.
        alphabetic: Words that have a letter.
    """

    words: int
    spoken: int
    spoken_characters: int
    alphabetic: int


class TextView:
    """The words, lines and paragraphs of a text, each computed when first asked for.

    Args:
        text: The text, with line feeds as line ends.
        target: What is to be answered to it, if anything; only its being there is judged.
        known_language: The language that the text is in; None has it identified.
        subset: The part of the source that it belongs to: of code, the programming language.

    Attributes:
        measured: Figures that rules have taken, by name.
        removed_lines: Reason -> lines that rules have removed from the text.
    """

    def __init__(
        self,
        text: str,
        target: str | None = None,
        known_language: str | None = None,
        subset: str | None = None,
    ) -> None:
        self.text, self.target, self.known_language = text, target, known_language
        self.subset = subset
        self.measured: dict[str, float] = {}
        self.removed_lines: Counter[str] = Counter()

    def replace_text(self, text: str, removed: Counter[str]) -> None:
        """Goes on with what a rule has left of the text.

        Args:
            text: The new text.
            removed: Reason -> lines removed.
        """
        self.removed_lines += removed
        if text != self.text:
            self.text = text
            for name in ("words", "totals", "lines", "parts", "paragraphs"):
                self.__dict__.pop(name, None)

    def note(self, measure: str, value: float) -> float:
        """Keeps a figure for the report, and gives it back."""
        self.measured[measure] = value
        return value

    @cached_property
    def words(self) -> list[str]:
        """Words and signs as `words.split_words` splits them."""
        return split_words(self.text)

    @cached_property
    def totals(self) -> Totals:
        """What the words add up to."""
        kinds = list(map(_KINDS.__getitem__, self.words))
        signs = [word for word, kind in zip(self.words, kinds, strict=True) if kind == SIGN]
        characters = sum(map(len, self.words)) - sum(map(len, signs))
        spoken = len(kinds) - len(signs)
        return Totals(len(kinds), spoken, characters, kinds.count(ALPHABETIC))

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]

    @property
    def punctuated_lines(self) -> float:
        """The fraction of the lines that end in a mark that ends a sentence."""
        ended = sum(line[-1] in LINE_ENDS for line in self.lines)
        return ended / max(len(self.lines), 1)

    def short_lines(self, characters: int) -> float:
        """The fraction of the lines that have `characters` characters or fewer."""
        return sum(len(line) <= characters for line in self.lines) / max(len(self.lines), 1)

    @property
    def newlines_per_word(self) -> float:
        """Line feeds for each word."""
        return self.text.count("\n") / max(len(self.words), 1)

    @cached_property
    def parts(self) -> list[str]:
        """What stands between line feeds, as Gopher's repetition rules count lines."""
        return _LINE_FEEDS.split(self.text)

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines."""
        return _BLANK_LINES.split(self.text.strip())

    @cached_property
    def language(self) -> Identified:
        """The language that the text is written in, as far as a model can tell."""
        if self.known_language is not None:
            return Identified(self.known_language, 1.0)
        return identify_language(self.text)
