"""Text of web archives (WET), as Common Crawl extracts it: `conversion` records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llm_keras import config
from pipelines.sources import warc, warc_file
from pipelines.sources.record import Found, Passed, Text, Unreadable, usable
from pipelines.sources.warc_file import Damage, Record
from pipelines.web.http_message import MessageError

SUFFIXES = (".wet", ".wet.gz", ".wet.zst")
REASONS = (warc.NOT_A_PAGE, warc.NOT_TEXT, warc.TRUNCATED, warc.NO_TEXT)


def read(path: Path, _: config.Source) -> Iterator[Found]:
    """Reads the texts of one file, each named by its record's id."""
    for found in warc_file.records(path):
        if isinstance(found, Damage):
            yield Unreadable(found.error, offset=found.offset)
        else:
            yield _text(found)


def _text(record: Record) -> Found:
    name = record.id or record.target_uri
    if reason := _reason(record):
        return Passed(reason, name)
    try:
        text = warc.whole(record).decode("utf-8")
        problem = usable(text)
    except UnicodeDecodeError:
        problem = "not valid utf-8"
    except MessageError as error:
        problem = str(error)
    if problem:
        return Unreadable(problem, offset=record.offset, name=name)
    if not text.strip():
        return Passed(warc.NO_TEXT, name)
    return Text(text, url=record.target_uri, timestamp=warc.date(record), name=name)


def _reason(record: Record) -> str | None:
    """Why a record holds no text; None if it may."""
    if record.type != "conversion":
        return warc.NOT_A_PAGE
    if warc.is_cut(record):
        return warc.TRUNCATED
    content_type = record.headers.get("content-type", "text/plain").lower()
    return None if content_type.startswith("text/plain") else warc.NOT_TEXT
