"""Web archives (WARC): the pages among the responses that a crawler stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from llm_keras import config
from pipelines.sources import warc_file
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Found, Passed, Text, Unreadable, usable
from pipelines.sources.warc_file import Damage, Record
from pipelines.web import charset, html_text, http_message, opt_out

SUFFIXES = (".warc", ".warc.gz", ".warc.zst")

NOT_A_PAGE, NOT_TEXT, STATUS, TRUNCATED, NO_TEXT = (
    "not_a_page",
    "not_text",
    "status",
    "truncated",
    "no_text",
)
#: Requests and notes of the crawler; pictures; answers such as 404; pages that the crawler cut
#: short or into segments; pages that opt out; pages without a text.
REASONS = (NOT_A_PAGE, NOT_TEXT, STATUS, TRUNCATED, opt_out.REASON, NO_TEXT)

_STATUSES = frozenset((200, 203))
_HTML = frozenset(("text/html", "application/xhtml+xml"))
_PLAIN = "text/plain"
_LOOKS_LIKE_HTML = re.compile(rb"\s{0,99}<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_DATE = re.compile(r"\d{4}(-\d\d(-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z)?)?")


def read(path: Path, source: config.Source) -> Iterator[Found]:
    """Reads the pages of one archive, each named by its record's id."""
    obey = source.fetch is None or source.fetch.obey_opt_out
    for found in warc_file.records(path):
        if isinstance(found, Damage):
            yield Unreadable(found.error, offset=found.offset)
        else:
            yield page(found, obey)


def page(record: Record, obey_opt_out: bool) -> Found:
    """Makes a text of a record, or says why it is none."""
    name = record.id or record.target_uri
    uri = record.target_uri or ""
    if record.type != "response" or not uri.lower().startswith(("http:", "https:")):
        return Passed(NOT_A_PAGE, name)
    if is_cut(record):
        return Passed(TRUNCATED, name)
    try:
        text = _text(whole(record), obey_opt_out)
    except (http_message.MessageError, html_text.UnfitError) as error:
        return Unreadable(str(error), offset=record.offset, name=name)
    if isinstance(text, Passed):
        return text._replace(name=name)
    return Text(text, url=uri, timestamp=date(record), name=name)


def whole(record: Record) -> bytes:
    """The content of a record.

    Raises:
        MessageError: It is too long, or not what was written.
    """
    if record.content is None:
        raise http_message.MessageError(f"a record of more than {MAXIMUM_RECORD_BYTES} bytes")
    if record.is_altered:
        raise http_message.MessageError("a record that its digest does not fit")
    return record.content


def is_cut(record: Record) -> bool:
    """Whether the crawler stored no more than a part."""
    return "warc-truncated" in record.headers or "warc-segment-number" in record.headers


def date(record: Record) -> str | None:
    """When a record was made, if it says so in the standard's way."""
    stamp = record.headers.get("warc-date", "")
    return stamp if _DATE.fullmatch(stamp) else None


def _text(message: bytes, obey_opt_out: bool) -> str | Passed:
    """The text of a response.

    Raises:
        MessageError: The response is damaged.
        UnfitError: The page is.
    """
    response = http_message.parse(message)
    if response.status not in _STATUSES:
        return Passed(STATUS)
    if obey_opt_out and opt_out.in_headers(response.headers):
        return Passed(opt_out.REASON)
    content_type = response.header("content-type") or ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in _HTML and kind != _PLAIN:
        return Passed(NOT_TEXT)
    body = http_message.content(response, MAXIMUM_RECORD_BYTES)
    if not kind and not _LOOKS_LIKE_HTML.match(body):
        return Passed(NOT_TEXT)
    decoded = charset.decode(body, content_type)
    if decoded is None:
        raise http_message.MessageError("a page in no encoding that fits its bytes")
    if kind != _PLAIN:
        if obey_opt_out and opt_out.in_html(decoded):
            return Passed(opt_out.REASON)
        decoded = html_text.extract(decoded)
    if problem := usable(decoded):
        raise http_message.MessageError(problem)
    return decoded if decoded.strip() else Passed(NO_TEXT)
