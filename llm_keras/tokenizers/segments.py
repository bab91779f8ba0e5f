"""Cuts text before a unigram model sees it, so that every reader of the model gives the same ids.

A unigram model takes the pieces with the greatest sum of scores. SentencePiece adds up in float32
from the start of the text; versions differ in how they compare sums that were rounded, in what a
user symbol scores, and in what they do when the sum gets large. TensorFlow Text links an older
version than Python has, so `x` + `xx` in one could be `xx` + `x` in the other. Three things leave
nothing to differ in:

- scores are multiples of 2**-10 (`model_file.finish`);
- user symbols are cut out first;
- the rest is cut into words, each with the spaces before it, of at most 256 characters. No piece
  of a model crosses such a border, save in words that are longer than 128 characters.

A sum of 256 scores above -64 is then exact in float32 (24 bits), and equal sums go to the same
piece everywhere. BPE models add nothing up and need no cutting.

Unigram models from elsewhere are left as they are: their scores are not rounded, and one that puts
a space in front of a text would put it in front of every part. Python gives the ids that other
programs give; the twin in the graph may differ on about one odd text in a thousand.
"""

from __future__ import annotations

import re

from llm_keras.tokenizers import model_file

#: Regular expressions that mean the same in Python and in RE2, TensorFlow's.
WORDS = " {0,128}[^ ]{1,128}| {1,128}"


def patterns(model: bytes) -> list[str]:
    """What to cut a text into, one expression after the other: none but for our unigram models."""
    if not (model_file.is_unigram(model) and model_file.is_escaped(model)):
        return []
    symbols = sorted(model_file.user_symbols(model), key=len, reverse=True)  # longest match first
    return ["|".join(map(re.escape, symbols)), WORDS] if symbols else [WORDS]


def cut(text: str, expressions: list[re.Pattern[str]]) -> list[str]:
    """The matches of each expression and what lies between them, in order; joined, the text.

    >>> cut("a  few words", [re.compile(WORDS)])
    ['a', '  few', ' words']
    """
    parts = [text]
    for expression in expressions:
        parts = [piece for part in parts for piece in _cut(part, expression)]
    return parts


def _cut(text: str, expression: re.Pattern[str]) -> list[str]:
    pieces, end = [], 0
    for match in expression.finditer(text):
        pieces += [text[end : match.start()], match[0]]
        end = match.end()
    return [piece for piece in [*pieces, text[end:]] if piece]
