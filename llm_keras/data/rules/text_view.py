"""One text, split into its parts once, however many rules look at it."""

from __future__ import annotations

import re
from functools import cached_property

from llm_keras.data.rules.language import Identified, identify_language

_BLANK_LINES = re.compile(r"\n{2,}")


class TextView:
    """The words, lines and paragraphs of a text, each computed when first asked for.

    Args:
        text: The text, with line feeds as line ends.
        target: What is to be answered to it, if anything; only its being there is judged.
        known_language: The language that the text is in; None has it identified.
    """

    def __init__(
        self, text: str, target: str | None = None, known_language: str | None = None
    ) -> None:
        self.text, self.target, self.known_language = text, target, known_language

    @cached_property
    def words(self) -> list[str]:
        """What stands between white space, punctuation included, as Gopher counts words."""
        return self.text.split()

    @cached_property
    def word_characters(self) -> int:
        """Characters of all words, white space left out."""
        return sum(map(len, self.words))

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines."""
        if "\n\n" not in self.text:
            return [self.text] if self.lines else []
        return [part for part in _BLANK_LINES.split(self.text) if part and not part.isspace()]

    @cached_property
    def language(self) -> Identified:
        """The language that the text is written in, as far as a model can tell."""
        if self.known_language is not None:
            return Identified(self.known_language, 1.0)
        return identify_language(self.text)
