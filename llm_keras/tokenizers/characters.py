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
#: Between words, as `in_graph.cutting` has it.
BORDER = b"\xff"
#: Indices of the two replacements that depend on the character: itself, and itself as a word.
SAME, ALONE = 0, 1


class Table(NamedTuple):
    """Ranges of characters that share their fate."""

    starts: list[int]  #: The first character of each range, the first one 0.
    becomes: list[int]  #: For each range SAME, ALONE, or what `replacements` has there.
    replacements: list[bytes]


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
    words = {piece for piece, _ in pieces}
    within = set("".join(words))
    spelt = {character: _spelt(character, words, within) for character in asked}

    fates = dict(zip(asked, normal, strict=True)) | {SEPARATOR: SEPARATOR}
    spelt[SEPARATOR] = SEPARATOR.encode()

    result = Table([], [], [b"", b""])
    known: dict[bytes, int] = {}
    for character, becomes in sorted(fates.items()):
        fate = SAME
        if (by := b"".join(spelt[c] for c in becomes)) == _alone(character):
            fate = ALONE
        elif by != character.encode():
            fate = known.setdefault(by, len(known) + 2)
        if not result.becomes or result.becomes[-1] != fate:
            result.starts.append(ord(character))
            result.becomes.append(fate)
    result.replacements.extend(known)
    return result


def _spelt(character: str, words: set[str], within: set[str]) -> bytes:
    """A normal character with the borders that the pre-tokenizer puts around it."""
    if character in words:
        return _alone(character)
    return character.encode() if character in within else BORDER


def _alone(character: str) -> bytes:
    return BORDER + character.encode() + BORDER
