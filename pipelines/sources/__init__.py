"""Readers of corpus sources: one file a kind, listed in `KINDS`.

A reader is a function `(path, source) -> texts and what could not be read`; some take a third
argument, the piece of a large file that they are to read. It streams, knows nothing of Beam, and
raises nothing about the content of a file: bad content is `Unreadable`. Only two files that are not
aligned stop everything: each of their pairs would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipelines.sources import (
    captions,
    code,
    documents,
    fetch,
    gutenberg,
    html,
    hugging_face,
    json_lines,
    latex,
    parallel,
    parquet,
    text_files,
    warc,
    wet,
    wikipedia,
)
from pipelines.sources.record import Found, Passed, Piece, Text, Unreadable

__all__ = ["KINDS", "Found", "Kind", "Passed", "Piece", "Text", "Unreadable"]


class Kind(NamedTuple):
    """A kind of source.

    Args:
        suffixes: What the names of its files end in, lower case; ("",) is any file.
        read: Reads one file.
        reasons: Every reason for which `read` may pass over something.
        in_pieces: What the names of files end in that `read` also reads piece by piece.
    """

    suffixes: tuple[str, ...]
    read: Callable[..., Iterator[Found]]
    reasons: tuple[str, ...] = ()
    in_pieces: tuple[str, ...] = ()


#: `kind` of a source in the run file -> its reader.
KINDS: dict[str, Kind] = {
    "text": Kind(text_files.SUFFIXES, text_files.read),
    "jsonl": Kind(json_lines.SUFFIXES, json_lines.read, in_pieces=json_lines.IN_PIECES),
    "parallel": Kind(parallel.SUFFIXES, parallel.read),
    "parquet": Kind(parquet.SUFFIXES, parquet.read, in_pieces=parquet.IN_PIECES),
    "hugging_face": Kind(
        hugging_face.SUFFIXES, hugging_face.read, hugging_face.REASONS, hugging_face.IN_PIECES
    ),
    "latex": Kind(latex.SUFFIXES, latex.read, latex.REASONS),
    "gutenberg": Kind(gutenberg.SUFFIXES, gutenberg.read, gutenberg.REASONS),
    "captions": Kind(captions.SUFFIXES, captions.read),
    "code": Kind(code.SUFFIXES, code.read, code.REASONS),
    "warc": Kind(warc.SUFFIXES, warc.read, warc.REASONS),
    "wet": Kind(wet.SUFFIXES, wet.read, wet.REASONS),
    "html": Kind(html.SUFFIXES, html.read, html.REASONS),
    "wikipedia": Kind(wikipedia.SUFFIXES, wikipedia.read, wikipedia.REASONS),
    "documents": Kind(documents.SUFFIXES, documents.read, documents.REASONS),
    "fetch": Kind(fetch.SUFFIXES, fetch.read, fetch.REASONS),
}
