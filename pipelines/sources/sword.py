"""SWORD Bible modules of format zText: two of them are a parallel text, verse by verse.

A testament, `ot` or `nt`, is three files, all numbers little-endian:

    ot.bzs   of each block: offset in ot.bzz, size there, size decompressed (uint32 each)
    ot.bzv   of each slot: block (uint32), offset in it (uint32), length (uint16)
    ot.bzz   blocks of zlib

Slots are two for the module and the testament, then for each book one for its heading, for each
chapter one for its heading, and its verses. So equal slots hold the same verse, wherever two
modules follow the same versification.

References:
    The SWORD Project, zverse.cpp (files) and versemgr.h (slots).
"""

from __future__ import annotations

import functools
import html
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from llm_keras import config
from llm_keras.errors import UserError
from pipelines.sources.record import Text, Unreadable, usable
from pipelines.sources.versification import KJV, Testament

TESTAMENTS: tuple[Testament, ...] = ("ot", "nt")
#: Files of a testament; the first stands for it.
SUFFIXES = (".bzs", ".bzv", ".bzz")

#: A block holds a book at most; one that says more than this is damaged.
MAXIMUM_BLOCK_BYTES = 64 * 2**20
_BLOCK, _SLOT = struct.Struct("<III"), struct.Struct("<IIH")

#: What editors added, with its content: notes and headings of OSIS, ThML and GBF. The titles of
#: psalms are canonical: they are part of the text, and other modules have them in the verse.
_ADDED = re.compile(
    r"<(note|figure|scripRef)\b[^>]*(?<!/)>.*?</\1>"
    r"|<title\b(?![^>]*canonical=.true)[^>]*(?<!/)>.*?</title>"
    r"|<(R[FX])[^>]*>.*?<R[fx]>|<T[SHBT]\d?>.*?<T[shbt]\d?>",
    re.DOTALL,
)
#: Tags that stand between words: milestones of lines and paragraphs, and titles.
_BREAK = re.compile(r"</?(lb|lg?|div|p|br|title|milestone|chapter|C[ILM])\b[^>]*>")
_TAG = re.compile(r"<[^>]*>")
_PILCROW = "\u00b6"


class _DamagedError(Exception):
    """A verse cannot be read; says why."""


def read(path: Path, other: Path, source: config.Source) -> Iterator[Text | Unreadable]:
    """Reads one testament of two modules: a pair for each verse, its subset the book's name.

    Args:
        path: The `.bzs` file of the module to translate from.
        other: That of its translation.
        source: Gives the encoding of both.
    """
    testament = testament_of(path)
    ours, theirs = _Testament(path, source.encoding), _Testament(other, source.encoding)
    for slot, book in verse_slots(testament):
        try:
            text, target = ours.verse(slot), theirs.verse(slot)
        except _DamagedError as error:
            yield Unreadable(f"{book}, slot {slot}: {error}")
        else:
            problem = usable(text) or usable(target)
            yield Unreadable(problem) if problem else Text(text, target=target, subset=book)


def testament_of(path: Path) -> Testament:
    """The testament that a file of a module belongs to, by its name."""
    return "ot" if path.name.startswith("ot") else "nt"


def verse_slots(testament: Testament) -> Iterator[tuple[int, str]]:
    """The slot of every verse and the name of its book.

    >>> next(verse_slots("nt")), sum(1 for _ in verse_slots("nt"))
    ((4, 'Matthew'), 7957)
    """
    slot = 2
    for book, chapters in KJV[testament]:
        slot += 1
        for verses in chapters:
            slot += 1
            for _ in range(verses):
                yield slot, book
                slot += 1


def check(path: Path, name: str) -> None:
    """Looks at the files of a testament before anything is read.

    Args:
        path: Its `.bzs` file.
        name: Of the source, for the message.

    Raises:
        UserError: A file is missing, or the verses are not those of the King James Version.
    """
    for suffix in SUFFIXES:
        if not path.with_suffix(suffix).is_file():
            raise UserError(
                f"corpus source {name}: {path.with_suffix(suffix)} is missing; expected a module of"
                f" format zText: {', '.join(path.stem + each for each in SUFFIXES)}"
            )
    *_, (last, _) = verse_slots(testament_of(path))
    found, expected = path.with_suffix(".bzv").stat().st_size, (last + 1) * _SLOT.size
    if found != expected:
        raise UserError(
            f"corpus source {name}: {path.with_suffix('.bzv')}: expected {last + 1} slots of"
            f" {_SLOT.size} bytes (versification KJV), found {found} bytes; take a module whose"
            " .conf says Versification=KJV"
        )


def plain(marked: str) -> str:
    """The text of a verse without notes, headings and tags of OSIS, ThML or GBF.

    >>> plain('<w lemma="strong:H430">God</w> <i>is</i>;<note>or, was</note><lb/>he &amp; we')
    'God is; he & we'
    """
    bare = _TAG.sub("", _BREAK.sub(" ", _ADDED.sub("", marked)))
    return " ".join(html.unescape(bare).replace(_PILCROW, " ").split())


class _Testament:
    """The verses of one testament of a module.

    Args:
        path: Its `.bzs` file.
        encoding: Of the verses.
    """

    def __init__(self, path: Path, encoding: str) -> None:
        self.packed, self.encoding = path.with_suffix(".bzz").read_bytes(), encoding
        blocks, slots = path.read_bytes(), path.with_suffix(".bzv").read_bytes()
        self.blocks = list(_BLOCK.iter_unpack(blocks[: len(blocks) // 12 * 12]))
        self.slots = list(_SLOT.iter_unpack(slots[: len(slots) // 10 * 10]))
        self._block = functools.lru_cache(maxsize=2)(self._decompress)

    def verse(self, slot: int) -> str:
        if slot >= len(self.slots):
            raise _DamagedError("its index is cut short")
        number, offset, length = self.slots[slot]
        if not length:
            return ""
        content = self._block(number)[offset : offset + length]
        if len(content) < length:
            raise _DamagedError("its index points beyond its block")
        try:
            return plain(content.decode(self.encoding))
        except UnicodeDecodeError:
            raise _DamagedError(f"not valid {self.encoding}") from None

    def _decompress(self, number: int) -> bytes:
        """One block; nothing of it where its compressed data are damaged."""
        offset, packed_bytes, size = self.blocks[number] if number < len(self.blocks) else (0, 0, 0)
        packed = self.packed[offset : offset + packed_bytes]
        try:
            content = zlib.decompressobj().decompress(packed, min(size, MAXIMUM_BLOCK_BYTES) or 1)
        except zlib.error:
            content = b""
        if not content or len(content) != size:
            raise _DamagedError("its block is damaged")
        return content
