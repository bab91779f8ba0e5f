"""Takes personal data and secrets out of texts, and notes where they stood.

What counts is described by a pattern and, where there is one, by a check: the checksum of an
account or a card, an address that the internet routes, a phone number's digits, a secret's entropy.
`secrets` has the patterns of keys. Every search takes time in proportion to the text.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterator

from llm_keras import config
from llm_keras.data.document import Document
from llm_keras.data.secrets import find_keys

#: Where something stands in the new text, and its kind.
Span = tuple[int, int, str]
Finder = Callable[[str], Iterator[tuple[int, int]]]

#: What an address has before its @, beside letters and digits. More is allowed, but then stands in
#: other things, such as the address of a page, far more often.
_LOCAL = frozenset("._%+-'")
_DOMAIN = re.compile(
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,63})(?![\w-])"
)
#: `icon@2x.png` is a file.
_FILE_ENDINGS = frozenset(("avif", "bmp", "css", "gif", "jpeg", "jpg", "js", "json", "png", "webp"))
# A pattern that begins with one class of characters is searched for several times as fast: what
# must not stand before is looked at behind it.
_IPV4 = re.compile(r"[0-9](?<![\w.-].)\d{0,2}(?:\.\d{1,3}){3}(?!\.?[\w-])")
#: Of what the internet routes, 2000::/3.
_IPV6 = re.compile(
    r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])"
)
_NUMBERED = re.compile(
    r"(?i:(?:\b(?:section|chapter|version|release|appendix|paragraph|article|clause|part|v|ver)"
    r"s?\b\.?|§)[ \t]{0,3})\Z"
)
_NETWORK = re.compile(r"(?i:\b(?:ip|ipv4|host|address|server|dns|ping|resolver|router|gateway)\b)")
_TITLE = re.compile(r"\.?[ \t]+[^\W\d_a-z]|\.\s")
_IBAN = re.compile(
    r"[A-Z](?<![^\W_].)[A-Z]\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![^\W_])"
)
#: Characters of an account number by country (ISO 13616 registry); others may have 15 to 34.
_IBAN_SIZES = {
    country: size
    for size, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
#: Four groups of four, American Express's 4-6-5, Diners' 4-6-4, or digits without a space, of
#: which JCB's old ones begin otherwise than all others.
_CARD = re.compile(
    r"(?<![\w.])(?=([2-6]\d{3}([ -])\d{4}\2\d{4}\2\d{4}(?:\2\d{3})?(?!\d)"
    r"|3\d{3}([ -])\d{6}\3\d{4,5}(?!\d)|(?:1800|2131)\d{11}(?!\d)|[2-6]\d{11,18}(?!\d)))"
)
_CARD_DIGITS = re.compile(r"[0-9][0-9 -]{10,}[0-9](?!\d)")
_EXTENSION = r"(?:(?: ?x ?| ?ext\.? ?)\d{1,5})?(?![\w@])"
_EXTENSION_CHARACTERS = 16
_PHONES = (
    # E.164: a plus or 00, the country, digits with or without separators, (0) among them.
    re.compile(
        r"(?:(?<![\w+])\+|(?<![\w.+/-])(?<!\d )00)[1-9](?:[ ./-]?\(?\d\)?){7,14}" + _EXTENSION
    ),
    # North America: (555) 123-4567, 555-123-4567, 1.555.123.4567.
    re.compile(
        r"(?<![\w.+/-])(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])\d{3}[ .-]\d{4}" + _EXTENSION
    ),
    # Elsewhere: a zero before the area, 020 7946 0958, (030) 123456, 01 23 45 67 89, 0171/123456.
    re.compile(
        r"(?<![\w.+/-])(?<!\d )\(?0[1-9]\d{0,3}\)?(?:[ ./-]{1,2}\d{2,4}){2,4}" + _EXTENSION,
    ),
    re.compile(r"(?<![\w.+/-])(?<!\d )\(?0[1-9]\d{1,3}\)?[ /-]{1,2}\d{5,8}" + _EXTENSION),
)
#: Digits alone are a phone number only where one is announced, or named behind.
_ANNOUNCED = re.compile(
    r"(?i:\b(?:phone|tel|telephone|mobile|cell|call|fax|whatsapp|answering)\b\W{0,4}"
    r"(?:(?:number|no|is|me|us|at|on)\b\W{0,3}){0,3})\Z"
)
_NAMED_BEHIND = re.compile(r"(?i:[ -]{1,3}(?:office|fax|mobile|cell|desk|home)\b)")
_BEFORE_CHARACTERS = 48
#: Digits and what may stand between those of one number.
_NUMBER = re.compile(r"[0-9+(][0-9 ()./+-]{5,}[0-9]")
_DATE = re.compile(r"\D?(?:\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2})$")


def redact(text: str, settings: config.Redaction) -> tuple[str, tuple[Span, ...]]:
    """Replaces what is personal or secret.

    Args:
        text: The text.
        settings: Which kinds, and what stands in their place.

    Returns:
        The new text, and where in it a replacement stands: (start, end, kind), in order. What
        overlaps is replaced as one, of the kind that comes first in `FINDERS`.

    >>> redact("Write to ada@example.org.", config.Redaction())
    ('Write to <email>.', ((9, 16, 'email'),))
    """
    pieces: list[str] = []
    spans: list[Span] = []
    done = size = 0
    for start, end, kind in _apart(_found(text, settings)):
        replacement = settings.replacement.replace("{kind}", kind)
        pieces += text[done:start], replacement
        size += start - done
        spans.append((size, size + len(replacement), kind))
        size, done = size + len(replacement), end
    return ("".join((*pieces, text[done:])) if spans else text), tuple(spans)


def redacting(document: Document, settings: config.Redaction | None) -> Document:
    """Redacts a document; a private one in any case.

    Args:
        document: The document.
        settings: What to redact; None redacts private documents only, of every kind.

    Returns:
        The document with its text and target redacted, `redacted` being the spans of the text; one
        that has such spans already is returned as it is.
    """
    if document.redacted or (settings is None and not document.private):
        return document
    settings = settings or config.Redaction()
    text, spans = redact(document.text, settings)
    target = document.target and redact(document.target, settings)[0]
    if not spans and target == document.target:
        return document
    return dataclasses.replace(document, text=text, target=target, redacted=spans)


def _found(text: str, settings: config.Redaction) -> list[tuple[int, int, int, str]]:
    """Everything that is to go: start, end, rank of its kind, kind; in order."""
    return sorted(
        (start, end, rank, kind)
        for rank, (kind, find) in enumerate(FINDERS.items())
        if kind in settings.kinds
        for start, end in find(text)
    )


def _apart(found: list[tuple[int, int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Joins what overlaps."""
    current: tuple[int, int, int, str] | None = None
    for each in found:
        if current is None or each[0] >= current[1]:
            if current is not None:
                yield current[0], current[1], current[3]
            current = each
        else:
            rank, kind = min(current[2:], each[2:])
            current = (current[0], max(current[1], each[1]), rank, kind)
    if current is not None:
        yield current[0], current[1], current[3]


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """E-mail addresses: at most 64 characters, @, and a domain with a dot."""
    done = 0
    for match in _DOMAIN.finditer(text):
        at = start = match.start()
        first = max(done, at - 64)
        while start > first and (text[start - 1].isalnum() or text[start - 1] in _LOCAL):
            start -= 1
        while start < at and not (text[start].isalnum() or text[start] == "_"):
            start += 1
        if start < at and match[0].rpartition(".")[2].lower() not in _FILE_ENDINGS:
            done = match.end()
            yield start, done


def find_ips(text: str) -> Iterator[tuple[int, int]]:
    """Internet addresses that are routed: none of a house's own, none for documentation."""
    for match in _IPV4.finditer(text):
        address = _address(match[0])
        routed = address is not None and address.is_global and not address.is_multicast
        if routed and not _is_numbering(text, match):
            yield match.span()
    if "::" in text or text.count(":") >= 7:
        for match in _IPV6.finditer(text):
            text_of = match[0] if match[0].endswith("::") else match[0].removesuffix(":")
            address = _address(text_of)
            if address is not None and address.is_global:
                yield match.start(), match.start() + len(text_of)


def _is_numbering(text: str, match: re.Match[str]) -> bool:
    """Whether four numbers are those of a section or a version.

    A number after such a word is; small numbers are where no word speaks of the network, and at
    the beginning of a line before a full stop or a capital.
    """
    before = text[max(0, match.start() - _BEFORE_CHARACTERS) : match.start()]
    if _NUMBERED.search(before):
        return True
    largest = max(map(int, match[0].split(".")))
    heading = not before.rpartition("\n")[2].strip() and _TITLE.match(text, match.end())
    return (largest < 32 and not _NETWORK.search(before)) or (largest < 64 and bool(heading))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Account numbers whose remainder modulo 97 is 1 (ISO 7064), as long as their country's."""
    for match in _IBAN.finditer(text):
        size = _IBAN_SIZES.get(match[0][:2])
        end = match.end()
        for tried in range(15, 35) if size is None else (size,):
            end = _after(match[0], tried)
            number = match[0][:end].replace(" ", "")
            whole = end == len(match[0]) or not match[0][end].isalnum()
            if len(number) == tried and whole and _remainder(number) == 1:
                yield match.start(), match.start() + end
                break


def _after(text: str, characters: int) -> int:
    """Where `characters` characters other than blanks have passed."""
    for place, each in enumerate(text, 1):
        characters -= each != " "
        if not characters:
            return place
    return len(text)


def _remainder(number: str) -> int:
    return int("".join(str(int(each, 36)) for each in number[4:] + number[:4])) % 97


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Payment cards: 12 to 19 digits with Luhn's checksum (ISO/IEC 7812), not all alike."""
    end = 0
    for digits in _CARD_DIGITS.finditer(text):
        for match in _CARD.finditer(text, *digits.span()):
            number = match[1].encode().translate(None, b" -")
            if match.start() >= end and _luhn(number) and len(set(number)) > 1:
                end = match.end(1)
                yield match.start(1), end


_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def _luhn(number: bytes) -> bool:
    doubled = number[-2::-2].translate(_DOUBLED)
    return (sum(doubled) + sum(number[-1::-2].translate(_VALUES))) % 10 == 0


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Phone numbers as countries write them: 8 to 15 digits (ITU-T E.164), no date.

    Where a phone is announced, 7 digits or more in any groups.
    """
    for number in _NUMBER.finditer(text):
        start, end = number.span()
        found = [
            match.span()
            for pattern in _PHONES
            for match in pattern.finditer(text, start, end + _EXTENSION_CHARACTERS)
            if 8 <= _digits(re.split("x|e", match[0])[0]) <= 15 and not _DATE.match(match[0])
        ]
        if not found and 7 <= _digits(number[0]) <= 15 and not _DATE.match(number[0]):
            before = text[max(0, start - _BEFORE_CHARACTERS) : start]
            if _ANNOUNCED.search(before) or _NAMED_BEHIND.match(text, end):
                found = [(start, end)]
        yield from found


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


#: What finds each kind; of what overlaps the first kind gives the name.
FINDERS: dict[str, Finder] = {
    "key": find_keys,
    "iban": find_ibans,
    "card": find_cards,
    "email": find_emails,
    "ip": find_ips,
    "phone": find_phones,
}
