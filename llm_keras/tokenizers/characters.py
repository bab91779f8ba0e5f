"""What becomes of each character before WordPiece sees it, as one table.

The table is read off the package `tokenizers`, character by character, so that the twin in the
graph has the same Unicode as Python.
"""

from __future__ import annotations

from typing import NamedTuple

import tokenizers

from llm_keras.tokenizers.word_pieces import WordPieces

#: Stands between the characters that the package is asked about, and is changed by nothing.
SEPARATOR = "0"
#: In a replacement: the end of a word, and the character itself.
BORDER, SAME = -1, -2


class Table(NamedTuple):
    """Ranges of characters that share their fate."""

    starts: list[int]  #: The first character of each range, the first one 0.
    becomes: list[int]  #: For each range its place in `replacements`.
    replacements: list[list[int]]  #: Characters, BORDER and SAME.


def table(settings: WordPieces) -> Table:
    """The table of one WordPiece."""
    asked = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and chr(c) != SEPARATOR]
    normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=settings.clean_text,
        handle_chinese_chars=settings.isolate_chinese,
        strip_accents=settings.strip_accents,
        lowercase=settings.lowercase,
    )
    normal = normalizer.normalize_str(SEPARATOR.join(asked)).split(SEPARATOR)
    pieces = tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize_str(SEPARATOR.join(asked))
    words = {piece for piece, _ in pieces} - {SEPARATOR}
    within = set("".join(words))
    ordinary = within - words
    for characters in (asked, normal):
        characters.insert(ord(SEPARATOR), SEPARATOR)

    starts: list[int] = []
    becomes: list[int] = []
    known: dict[tuple[int, ...], int] = {}
    for character, by in zip(asked, normal, strict=True):
        points: tuple[int, ...] = (SAME,)
        if character not in ordinary or by != character:
            spelt = [point for each in by for point in _spelt(each, words, within)]
            points = tuple(SAME if point == ord(character) else point for point in spelt)
        fate = known.setdefault(points, len(known))
        if not becomes or becomes[-1] != fate:
            starts.append(ord(character))
            becomes.append(fate)
    return Table(starts, becomes, [list(points) for points in known])


def _spelt(character: str, words: set[str], within: set[str]) -> list[int]:
    """A normal character with the borders that the pre-tokenizer puts around it."""
    if character in words:
        return [BORDER, ord(character), BORDER]
    return [ord(character)] if character in within else [BORDER]
