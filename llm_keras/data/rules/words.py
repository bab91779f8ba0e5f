"""Splits a text into words and signs as spaCy's English tokenizer does, some forty times as fast.

The published corpora counted words with that tokenizer. Text is cut at white space; from each
piece signs are taken off its ends and it is cut at signs within it, contractions are split,
addresses and abbreviations stay whole. What a piece becomes depends on nothing beside it, and few
pieces of a text are new, so each is looked up among those met before.

References:
    spaCy 3.8, "How spaCy's tokenizer works"; `contractions` has its special cases.

Differs from the source: letters are those of Unicode instead of a list of scripts, and symbols are
    its category So. From pieces of more than `LONGEST_PIECE` characters special cases are not
    taken, and only so many units and full stops. benchmarks/rule_parity.py has the figures.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from itertools import chain

from llm_keras.data.rules.contractions import special_cases

#: Pieces remembered; then it starts anew.
MAXIMUM_PIECES = 200_000
#: Longer pieces are no words: they are not remembered, nor compared with special cases.
LONGEST_PIECE = 100
#: Longer pieces are no address.
LONGEST_ADDRESS = 2_000

_QUOTES = frozenset("'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧")
_SIGNS = frozenset("…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪") | _QUOTES
_CURRENCY = frozenset((*"$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿", "US$", "C$", "A$"))
_METRIC = """
    km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s
    km/h kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см
    см² см³ мм мм² мм³ нм кг г мг м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ كم كم² كم³
    م م² م³ سم سم² سم³ مم مم² مم³ غرام جرام جم كغ ملغ كوب اكواب
"""
_AT_FRONT = _SIGNS | {"§", "%", "=", "—", "–"} | {each for each in _CURRENCY if len(each) == 1}
_AT_END = _SIGNS | {"—", "–"}
#: What ends a piece in two characters.
_PAIRS = frozenset(("'s", "'S", "’s", "’S", "……"))
_AFTER_NUMBER = frozenset(_METRIC.split()) | _CURRENCY | {"+"}
_LONGEST_UNIT = max(map(len, _AFTER_NUMBER))
#: A full stop is cut off after these, digits and letters that are no capitals.
_BEFORE_STOP = _SIGNS | set("%²-+|")
_DIGITS = frozenset("0123456789")
_ADDRESS = re.compile(
    r"(?=\w)(?:[\w+.-]{2,}://)?(?:[^\s@]+@)?"
    r"(?:(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])(?:\.\d{1,3}){2}\.\d{1,3}"
    # One class for each character, so that no text can be read in two ways.
    r"|(?:[A-Za-z0-9\u00a1-\U0010ffff][A-Za-z0-9_\u00a1-\U0010ffff-]{0,63}\.)+[^\W\d_A-Z]{2,63})"
    r"(?::\d{2,5})?(?:[/?#]\S*)?(?<=[\w/])"
)


def split_words(text: str) -> list[str]:
    r"""The words and signs of a text, in order.

    >>> split_words('"We don\'t pay $5.00 to e.g. U.S. firms," he said.')[:11]
    ['"', 'We', 'do', "n't", 'pay', '$', '5.00', 'to', 'e.g.', 'U.S.', 'firms']
    """
    return list(chain.from_iterable(map(_PIECES.__getitem__, text.split())))


class _Pieces(dict[str, tuple[str, ...]]):
    """What pieces of text become, remembered."""

    def __missing__(self, piece: str) -> tuple[str, ...]:
        words = split_piece(piece)
        if len(piece) <= LONGEST_PIECE:
            if len(self) >= MAXIMUM_PIECES:
                self.clear()
            self[piece] = words
        return words


_PIECES = _Pieces()


def split_piece(piece: str) -> tuple[str, ...]:
    """The words and signs of a piece of text without white space."""
    specials, joined, openings = _specials()
    if piece in specials:
        return specials[piece]
    if piece.isalpha():
        return (piece,)
    if len(piece) > LONGEST_PIECE:
        return tuple(_split_long(piece))
    words = _without_specials(piece, specials)
    return _join(words, specials, joined, openings) if len(words) > 1 else tuple(words)


def _without_specials(piece: str, specials: dict[str, tuple[str, ...]]) -> list[str]:
    """Takes signs off both ends, then cuts what is left."""
    start, end = 0, len(piece)
    front: list[str] = []
    back: list[str] = []

    def is_special(low: int, high: int) -> bool:
        return low < high and piece[low:high] in specials

    while start < end and not is_special(start, end):
        first = _front(piece, start, end)
        if is_special(start + first, end) and first:
            front.append(piece[start : start + first])
            start += first
            break
        last = _back(piece, start + first, end)
        if not first and not last:
            break
        if last and is_special(start, end - last):
            back.append(piece[end - last : end])
            end -= last
            break
        if first:
            front.append(piece[start : start + first])
            start += first
        if last:
            back.append(piece[end - last : end])
            end -= last
    return [*front, *_cut(piece[start:end], specials), *reversed(back)]


def _split_long(piece: str) -> list[str]:
    """The same without special cases, and in time that is safe: whole runs of signs at once."""
    start, end = 0, len(piece)
    front: list[str] = []
    back: list[str] = []
    for _ in range(LONGEST_PIECE):
        first, last = start, end
        while start < end and piece[start] in _AT_FRONT:
            start += 1
        while start < end and piece[end - 1] in _AT_END:
            end -= 1
        front += piece[first:start]
        back += piece[end:last][::-1]
        first = _front(piece, start, end) if start < end else 0
        last = _back(piece, start + first, end)
        if not first and not last:
            break
        front += [piece[start : start + first]] if first else []
        back += [piece[end - last : end]] if last else []
        start, end = start + first, end - last
    return [*front, *_cut(piece[start:end], {}), *reversed(back)]


def _front(piece: str, start: int, end: int) -> int:
    """Length of the sign that a piece begins with; 0 if there is none."""
    first = piece[start]
    if first in _AT_FRONT:
        return 1
    if first == ".":
        stop = start
        while stop < end and piece[stop] == ".":
            stop += 1
        return stop - start if stop - start > 1 else 0
    if first == "+":
        return int(start + 1 == end or piece[start + 1] not in _DIGITS)
    if first in "UCA":
        return next((len(c) for c in ("US$", "C$", "A$") if piece.startswith(c, start, end)), 0)
    return int(_is_symbol(first))


def _back(piece: str, start: int, end: int) -> int:
    """Length of the sign, unit or 's that a piece ends with; 0 if there is none."""
    last = piece[end - 1] if start < end else ""
    if last == ".":
        return _stop(piece, start, end)
    if piece[max(end - 2, start) : end] in _PAIRS:
        return 2
    for size in range(min(_LONGEST_UNIT, end - start - 1), 0, -1):
        if piece[end - size - 1] in _DIGITS and piece[end - size : end] in _AFTER_NUMBER:
            return size
    return int(last in _AT_END or (bool(last) and _is_symbol(last)))


def _stop(piece: str, start: int, end: int) -> int:
    """Length of the full stop, or of the dots, at the end; 0 for that of an abbreviation."""
    place = end
    while place > start and piece[place - 1] == ".":
        place -= 1
    if end - place > 1:
        return end - place
    if place == start:
        return 0
    before = piece[place - 1]
    if before in _BEFORE_STOP or before in _DIGITS:
        return 1
    if _is_letter(before) and not before.isupper():
        return 1
    if place - start > 1:
        second = piece[place - 2]
        degrees = second == "°" and before in "FfCcKk"
        return int(degrees or (_is_capital(second) and _is_capital(before)))
    return 0


def _is_letter(sign: str) -> bool:
    """Whether this is a letter, or a mark on one."""
    return sign.isalpha() or unicodedata.category(sign)[0] == "M"


def _is_capital(letter: str) -> bool:
    """Whether a letter is a capital, or of a script that has none."""
    return _is_letter(letter) and not letter.islower()


def _is_symbol(sign: str) -> bool:
    return sign > "\x7f" and unicodedata.category(sign) == "So"


def _cut(piece: str, specials: dict[str, tuple[str, ...]]) -> list[str]:
    """Cuts a piece at the signs within it, unless it is an address."""
    if not piece or piece.isalnum():
        return [*specials.get(piece, (piece,))] if piece else []
    if piece in specials:
        return [*specials[piece]]
    if len(piece) <= LONGEST_ADDRESS and "." in piece and _ADDRESS.fullmatch(piece):
        return [piece]
    return [word for word in _within(piece.isascii()).split(piece) if word]


@functools.cache
def _within(ascii_only: bool) -> re.Pattern[str]:
    """The signs that a piece is cut at; none at its beginning.

    Args:
        ascii_only: Whether only pieces of ASCII will be cut, which is twice as fast.
    """
    last = 0x80 if ascii_only else 0x30000
    every = [chr(point) for point in range(last) if not 0xD800 <= point < 0xE000]
    letters = [each for each in every if _is_letter(each)]
    small = _character_class([each for each in letters if not each.isupper()])
    capital = _character_class([each for each in letters if not each.islower()])
    letter = _character_class(letters)
    quote = re.escape("".join(each for each in every if each in _QUOTES))
    stop = "" if ascii_only else _character_class([c for c in every if _is_symbol(c)]) + "…"
    return re.compile(
        # Most characters are none of the signs: they are passed by without looking around them.
        rf"(?=[.+\-*^,–—~:<>=/{stop}])(?!\A)(\.\.+"
        + (rf"|[{stop}]" if stop else "")
        + r"|[+\-*^](?<=[0-9].)(?=[0-9-])"
        rf"|\.(?<=[{small}{quote}].)(?=[{capital}{quote}])"
        rf"|,(?<=[{letter}].)(?=[{letter}])"
        rf"|[:<>=/–~](?<=[{letter}0-9].)(?=[{letter}])"
        rf"|-(?<=[{letter}0-9].)-{{0,2}}(?=[{letter}])"
        rf"|—(?<=[{letter}0-9].)—?(?=[{letter}]))"
    )


def _character_class(characters: list[str]) -> str:
    """The ranges of a regular expression's class."""
    ranges: list[list[int]] = []
    for point in map(ord, characters):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(rf"\U{low:08x}-\U{high:08x}" for low, high in ranges)


@functools.cache
def _specials() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], frozenset[str]]:
    """Special cases; those that cutting takes apart, with their parts; beginnings of these."""
    specials = special_cases()
    joined, openings = {}, set()
    for text in specials:
        parts = tuple(_without_specials(text, {}))
        if len(parts) > 1 and parts != specials[text]:
            joined[text] = parts
            openings |= {"".join(parts[:end]) for end in range(1, len(parts))}
    return specials, joined, frozenset(openings)


def _join(
    words: list[str],
    specials: dict[str, tuple[str, ...]],
    joined: dict[str, tuple[str, ...]],
    openings: frozenset[str],
) -> tuple[str, ...]:
    """Puts special cases together again that cutting took apart, such as `:-)`."""
    if openings.isdisjoint(words):
        return tuple(words)
    result: list[str] = []
    start = 0
    while start < len(words):
        text, end, stop, found = words[start], start + 1, 0, ""
        while text in openings and end < len(words):
            text += words[end]
            end += 1
            if joined.get(text) == tuple(words[start:end]):
                stop, found = end, text
        result += specials[found] if stop else (words[start],)
        start = stop or start + 1
    return tuple(sys.intern(word) for word in result)
