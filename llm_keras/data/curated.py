r"""What a curation left, read from its files: sampled, counted and looked up.

A line begins with the document's id, and that of a dropped one ends in why it was dropped. So most
questions are answered without decoding the text between.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from llm_keras.errors import UserError

#: Examples come from the first files only; a large corpus has more than may be open at once.
MOST_FILES = 16

_STRING = rb'"((?:[^"\\]|\\.)*)"'
_ID = re.compile(rb'\{"id": ' + _STRING)
_WHY = re.compile(rb'"reason": ' + _STRING + rb', "detail": ' + _STRING + rb"\}\s*$")
_COPY = re.compile(r"of (.+?)(?:, similarity (\d+\.\d+))?")


class CopyOf(NamedTuple):
    """What a dropped copy was dropped in favour of.

    Args:
        id: Of the document that stays.
        similarity: Of the two, where it was estimated.
    """

    id: str
    similarity: float | None


def files(folder: Path) -> list[Path]:
    """The files of documents in a folder, in order."""
    return sorted(folder.glob("*.jsonl.gz"))


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file.

    Raises:
        UserError: It is damaged.
    """
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None


def decoded(line: bytes, path: Path) -> dict[str, Any]:
    """A line as an object.

    Raises:
        UserError: It is none; names the file.
    """
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from None


def documents(folder: Path, most: int) -> Iterator[dict[str, Any]]:
    """At most `most` documents from the beginnings of the first files of a folder, in turn."""
    first = files(folder)[:MOST_FILES]
    in_turn = (
        (line, path)
        for row in itertools.zip_longest(*map(lines, first))
        for line, path in zip(row, first, strict=True)
        if line is not None
    )
    for line, path in itertools.islice(in_turn, most):
        yield decoded(line, path)


def id_of(line: bytes) -> str | None:
    r"""The id of a document; None where what was dropped was none yet.

    >>> id_of(b'{"id": "letters:00ff", "text": "Dear Sir"}'), id_of(b'{"id": null, "source": "a"}')
    ('letters:00ff', None)
    """
    found = _ID.match(line)
    return _text(found[1]) if found else None


def why(line: bytes) -> tuple[str, str] | None:
    r"""Reason and detail of a dropped document; None of another line.

    >>> why(b'{"id": "a:0", "text": "b", "reason": "too_few_words", "detail": "6 < 50"}')
    ('too_few_words', '6 < 50')
    """
    start = line.rfind(b'"reason": ')  # a text has no bare quotation marks in JSON
    found = _WHY.match(line, start) if start >= 0 else None
    return (_text(found[1]), _text(found[2])) if found else None


def copy_of(detail: str) -> CopyOf | None:
    """What a detail says of the copy that stays; None where it says nothing of one.

    >>> copy_of("of web:1f, similarity 0.87")
    CopyOf(id='web:1f', similarity=0.87)
    >>> copy_of("6 < 50")
    """
    found = _COPY.fullmatch(detail)
    if found is None:
        return None
    return CopyOf(found[1], None if found[2] is None else float(found[2]))


def find(
    folder: Path, ids: Collection[str], most_bytes: float = float("inf")
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """The documents of some ids, each with its file; of several of one id the first.

    Args:
        folder: Of documents, kept or dropped.
        ids: Of those that are looked for; the search ends with the last of them.
        most_bytes: Text that is looked through at most.
    """
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in files(folder):
        for line in lines(path):
            if len(found) == len(ids) or most_bytes <= 0:
                return found
            most_bytes -= len(line)
            name = id_of(line)
            if name in ids and name not in found and name is not None:
                found[name] = (path, decoded(line, path))
    return found


def _text(quoted: bytes) -> str:
    if b"\\" not in quoted:
        return quoted.decode("utf-8", "replace")
    return str(json.loads(b'"' + quoted + b'"'))


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: damaged ({type(error).__name__}); run `llm-keras curate` again")
