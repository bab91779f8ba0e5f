"""Rows of tables and of JSON lines: which of their fields is the text, and what the others say."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from llm_keras import config
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Text, Unreadable, usable

#: What an absent field is found as; a field may hold None.
_ABSENT = object()

#: Whole numbers up to this are years, up to the next seconds since 1970, and beyond milliseconds.
_LAST_YEAR, _LAST_SECOND = 9999, 10**11


def to_text(row: Any, fields: config.Columns, encoding: str = "utf-8") -> Text | Unreadable:
    """Makes a text of one row.

    Args:
        row: What was read, a JSON object if all is well.
        fields: Which of its fields is what.
        encoding: Of texts that a table holds as bytes.

    Returns:
        The text; or what is wrong with the row, without its place, which the caller knows.
    """
    if not isinstance(row, Mapping):
        return Unreadable(f"expected a JSON object, found {type(row).__name__}")
    texts = []
    for name in (fields.text, *([fields.target] if fields.target else [])):
        value = find(row, name)
        if isinstance(value, bytes):
            try:
                value = value.decode(encoding)
            except UnicodeError:
                return Unreadable(f"not valid {encoding} under {name!r}")
        if problem := _problem(value, name):
            return Unreadable(problem)
        texts.append(value)

    def said(name: str | None) -> Any:
        return None if name is None else find(row, name)

    return Text(
        texts[0],
        url=_plain(said(fields.url)),
        target=texts[1] if fields.target else None,
        subset=_plain(said(fields.subset)),
        language=_plain(said(fields.language)),
        licence=_licence(said(fields.licence)),
        timestamp=_timestamp(said(fields.timestamp)),
        name=_plain(said(fields.name)),
    )


def find(row: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as `meta.set.name`; `absent(...)` tells whether there is none.

    A key that is the whole path goes before a field within a field.
    """
    value: Any = row
    while isinstance(value, Mapping):
        if path in value:
            return value[path]
        head, _, path = path.partition(".")
        value = value.get(head, _ABSENT) if path else _ABSENT
    return _ABSENT


def absent(value: Any) -> bool:
    """Whether `find` found nothing."""
    return value is _ABSENT


def _problem(value: Any, name: str) -> str:
    """What is wrong with what should be a text; empty if nothing is."""
    if not isinstance(value, str):
        found = "no such key" if absent(value) else type(value).__name__
        return f"expected a string under {name!r}, found {found}"
    if len(value) > MAXIMUM_RECORD_BYTES:
        return f"longer than {MAXIMUM_RECORD_BYTES} bytes under {name!r}"
    return usable(value)


def _plain(value: Any) -> str | None:
    """A short fact as a string; None for what says nothing, or is no single fact."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value and not usable(value) else None


def _licence(value: Any) -> str | None:
    """One licence tag, or several that all hold joined to an SPDX expression."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        tags = dict.fromkeys(filter(None, map(_plain, value)))
        several = len(tags) > 1
        return " AND ".join(f"({tag})" if several and " " in tag else tag for tag in tags) or None
    return _plain(value)


def _timestamp(value: Any) -> str | None:
    """A moment as ISO 8601; a string is taken as it is."""
    if isinstance(value, datetime.date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 < value <= _LAST_YEAR:
            return f"{value:04d}"
        seconds = value if abs(value) <= _LAST_SECOND else value // 1000
        try:
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return None
    return _plain(value)
