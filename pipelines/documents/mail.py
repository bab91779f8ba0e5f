"""Mails: subject and body, without headers and attachments.

Who wrote to whom is left out. Of alternatives the plain one is taken, else the HTML. Headers are
taken as strings and only so much of each is looked at: Python's full parser of headers takes time
and memory that grow with the square of their length.

References:
    RFC 5322 (messages), RFC 2046, section 5.1 (parts), RFC 2047 (words of other letters), RFC 2183
    (attachments).
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import hashlib
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message

from pipelines.documents.content import Content, UnfitError
from pipelines.web import charset, html_text

#: Characters of a header that are looked at; RFC 5322 has lines of at most 998.
HEADER_CHARACTERS = 2000
#: A mail with a header longer than this is not taken apart, nor are parts nested deeper.
MAXIMUM_HEADER_CHARACTERS, MAXIMUM_DEPTH = 2**16, 50

#: What the parser raises on headers and trees of parts that no mail program writes.
_FAULTS = (
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    RecursionError,
    AssertionError,
    OverflowError,
)
_PLAIN, _HTML = "text/plain", "text/html"


def text_of(data: bytes) -> Content:
    """Reads a mail.

    Raises:
        UnfitError: It has no header, or is too odd to be parsed.
    """
    try:
        content = _content(_parsed(data))
    except UnfitError:
        raise
    except _FAULTS:
        raise UnfitError("a mail whose header or parts cannot be parsed") from None
    if content is None:
        raise UnfitError("not a mail: no header lines at its start")
    return content


def name_of(data: bytes) -> str:
    """The Message-ID of a mail, or what stands for one: a hash of the mail."""
    head = data[: 2**16].partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
    try:
        name = _header(_parsed(head), "message-id").strip("<>")
    except _FAULTS:
        name = ""
    usable = name.isascii() and name.isprintable() and 0 < len(name) <= 250
    return name if usable else hashlib.sha256(data).hexdigest()[:32]


def _parsed(data: bytes) -> Message:
    return email.message_from_bytes(data, policy=email.policy.compat32)


def _content(message: Message) -> Content | None:
    """What a parsed mail says; None if it has no header."""
    if not message.keys():
        return None
    bodies: dict[str, Message] = {}
    for part in _inline(message):
        bodies.setdefault(part.get_content_type(), part)
    body = bodies.get(_PLAIN) or bodies.get(_HTML)
    text = _body(body) if body is not None else ""
    parts = (_subject(message), text)
    return Content("\n\n".join(part for part in parts if part), _date(message))


def _inline(message: Message, depth: int = 0) -> Iterator[Message]:
    """The parts that are shown, in their order: neither attachments nor mails within the mail."""
    for value in message.values():
        if len(str(value)) > MAXIMUM_HEADER_CHARACTERS:
            raise UnfitError(f"a mail with a header of more than {MAXIMUM_HEADER_CHARACTERS}")
    if depth > MAXIMUM_DEPTH:
        raise UnfitError(f"a mail of parts nested deeper than {MAXIMUM_DEPTH}")
    if message.get_content_maintype() == "multipart":
        payload = message.get_payload()
        for part in payload if isinstance(payload, list) else ():
            if isinstance(part, Message):
                yield from _inline(part, depth + 1)
    elif not _header(message, "content-disposition").lower().startswith("attachment"):
        yield message


def _header(message: Message, name: str) -> str:
    """A header as it stands, on one line; empty if there is none."""
    return " ".join(str(message.get(name, ""))[:HEADER_CHARACTERS].split())


def _subject(message: Message) -> str:
    raw = _header(message, "subject")
    try:
        return " ".join(str(make_header(decode_header(raw))).split())
    except (*_FAULTS, email.errors.HeaderParseError):
        return raw


def _body(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    text = charset.decode(data, _header(part, "content-type"))
    if text is None:
        raise UnfitError("a mail in no encoding that fits its bytes")
    if part.get_content_type() != _HTML:
        return text.replace("\r\n", "\n").strip()
    try:
        return html_text.extract(text)
    except html_text.UnfitError as error:
        raise UnfitError(str(error)) from None


def _date(message: Message) -> str | None:
    """When a mail was written, as ISO 8601; None if it does not say so in a usable way."""
    try:
        return email.utils.parsedate_to_datetime(_header(message, "date")[:100]).isoformat()
    except _FAULTS:
        return None
