"""Mails: subject and body, without headers and attachments.

Who wrote to whom is left out. Of alternatives the plain one is taken, else the HTML.

References:
    RFC 5322 (messages), RFC 2046, section 5.1.4 (alternatives).
"""

from __future__ import annotations

import datetime
import email
import email.policy
import hashlib
from email.message import EmailMessage, Message

from pipelines.documents.content import Content, UnfitError
from pipelines.web import charset, html_text

#: What the parser raises on headers and trees of parts that no mail program writes.
_FAULTS = (ValueError, LookupError, AttributeError, TypeError, RecursionError, AssertionError)


def text_of(data: bytes) -> Content:
    """Reads a mail.

    Raises:
        UnfitError: It has no header, or is too odd to be parsed.
    """
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        parsed = _content(message) if isinstance(message, EmailMessage) else None
    except UnfitError:
        raise
    except _FAULTS:
        raise UnfitError("a mail whose header or parts cannot be parsed") from None
    if parsed is None:
        raise UnfitError("not a mail: no header lines at its start")
    return parsed


def _content(message: EmailMessage) -> Content | None:
    """What a parsed mail says; None if it has no header."""
    if not message.keys():
        return None
    body = message.get_body(preferencelist=("plain", "html"))
    text = _body(body) if body is not None else ""
    subject = " ".join(str(message.get("subject", "")).split())
    return Content("\n\n".join(part for part in (subject, text) if part), _date(message))


def name_of(data: bytes) -> str:
    """The Message-ID of a mail, or what stands for one: a hash of the mail."""
    head = data.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0][: 2**16]
    try:
        message = email.message_from_bytes(head, policy=email.policy.compat32)
        name = " ".join(str(message.get("message-id", "")).split()).strip("<>")
    except _FAULTS:
        name = ""
    usable = name.isascii() and name.isprintable() and 0 < len(name) <= 250
    return name if usable else hashlib.sha256(data).hexdigest()[:32]


def _body(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    text = charset.decode(data, str(part.get("content-type", "")))
    if text is None:
        raise UnfitError("a mail in no encoding that fits its bytes")
    if part.get_content_type() != "text/html":
        return text.replace("\r\n", "\n").strip()
    try:
        return html_text.extract(text)
    except html_text.UnfitError as error:
        raise UnfitError(str(error)) from None


def _date(message: EmailMessage) -> str | None:
    """When a mail was written, as ISO 8601; None if it does not say so in a usable way."""
    try:
        written = getattr(message.get("date"), "datetime", None)
    except _FAULTS:
        return None
    return written.isoformat() if isinstance(written, datetime.datetime) else None
