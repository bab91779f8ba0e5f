"""Saved web pages: one document a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llm_keras import config
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Found, Passed, Text, Unreadable, usable
from pipelines.web import charset, html_text, opt_out

SUFFIXES = (".html", ".htm", ".xhtml")
NO_TEXT = "no_text"
REASONS = (opt_out.REASON, NO_TEXT)


def read(path: Path, _: config.Source) -> Iterator[Found]:
    """Reads one page, in the encoding that it says or looks like."""
    with path.open("rb") as file:
        data = file.read(MAXIMUM_RECORD_BYTES + 1)
    yield text_of(data)


def text_of(data: bytes, content_type: str | None = None, obey_opt_out: bool = True) -> Found:
    """Makes a text of the bytes of a page, or says why it is none.

    Args:
        data: The bytes.
        content_type: What came with them as their type, if anything did.
        obey_opt_out: Whether to leave a page that says it is not to train on.
    """
    if len(data) > MAXIMUM_RECORD_BYTES:
        return Unreadable(f"a page of more than {MAXIMUM_RECORD_BYTES} bytes")
    page = charset.decode(data, content_type)
    if page is None:
        return Unreadable("a page in no encoding that fits its bytes")
    if obey_opt_out and opt_out.in_html(page):
        return Passed(opt_out.REASON)
    try:
        text = html_text.extract(page)
    except html_text.UnfitError as error:
        return Unreadable(str(error))
    if problem := usable(text):
        return Unreadable(problem)
    return Text(text) if text else Passed(NO_TEXT)
