r"""Papers in TeX, as arXiv keeps them: one text a paper.

A paper is a `.tex` file, gzip of one, or a tar archive of its files; a tar archive may also hold
many papers, each gzip of a file or of an archive: its name in the archive is then the paper's.
Deeper nothing is unpacked. What `\input` and `\include` name is looked for among the files of the
paper only, never on the disk.

Its main file is the one that `00README` names, else the one with `\documentclass` that no other
reads; a paper of plain TeX may have none. Files are decoded as their `inputenc` declares, else in
the source's encoding; a paper that is neither is `Unreadable`, as is one of which a part is
damaged. How TeX becomes text says `tex_text`.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from llm_keras import config
from pipelines.sources import archives, compressed, decoding, tex_text
from pipelines.sources.archives import Member
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Found, Passed, Text, Unreadable

SUFFIXES = (".tex", ".gz", *(suffix for suffix in archives.TAR_SUFFIXES if suffix != ".tar.gz"))
REASONS = ("not_tex", "no_source", "no_text")

#: Of one paper with its figures, packed and unpacked; arXiv takes 50 MB.
MAXIMUM_PACKED_BYTES, MAXIMUM_PAPER_BYTES = 64 * 2**20, 128 * 2**20

_TEX = (".tex", ".ltx", ".latex", ".sty")
_PACKED = (".gz", ".tgz", ".tar")
_FIGURES = (".eps.gz", ".ps.gz", ".pdf.gz", ".svg.gz", ".dat.gz", ".csv.gz", ".txt.gz")
_README = "00README"

_CLASS = re.compile(rb"^[^%\n]*\\document(?:class|style)", re.MULTILINE)
_BEGIN = re.compile(rb"^[^%\n]*\\begin[ \t]*\{document\}", re.MULTILINE)
_READS = re.compile(
    rb"\\(?:input|include|subfile|import)\s{0,9}(?:\{[^{}]{0,200}\})?\{?([^\s{}\\%]{1,200})"
)
_ENCODING = re.compile(rb"\\usepackage\s{0,9}\[([a-z0-9-]{2,20})\]\s{0,9}\{inputenc\}")
_ENCODINGS = {
    **{"latin1": "latin-1", "latin2": "iso8859-2", "latin5": "iso8859-9", "latin9": "iso8859-15"},
    **{"ansinew": "cp1252", "applemac": "mac-roman", "utf8": "utf-8", "utf8x": "utf-8"},
}
_COMMAND = re.compile(rb"\\[a-zA-Z]")
#: What begins files that arXiv keeps in the place of a source.
_NO_TEX = (b"%!PS", b"%PDF", b"<!DOCTYPE", b"<html", b"<HTML", b"\x89PNG", b"\xff\xd8")
_USUAL_NAMES = frozenset(("main", "ms", "paper", "article", "manuscript", "root"))


class _UndecodableError(Exception):
    """A file that the paper reads is in another encoding."""


def read(path: Path, source: config.Source) -> Iterator[Found]:
    """Reads the paper, or the papers, of one file."""
    if path.name.lower().endswith(_TEX):
        data = decoding.read_bytes(path)
        yield from [data] if isinstance(data, Unreadable) else _single(data, None, source)
        return
    if path.name.lower().endswith(".tar.gz") or not path.name.lower().endswith(".gz"):
        yield from _archive(archives.members(path, _wanted, MAXIMUM_PACKED_BYTES), None, source)
        return
    extent = compressed.examine(path)
    start = next(compressed.chunks(path, extent), b"") if not extent.error else b""
    if archives.is_tar(start):
        yield from _archive(archives.members(path, _wanted, MAXIMUM_PACKED_BYTES), None, source)
    elif extent.error:
        yield Unreadable(extent.error, offset=extent.intact_bytes)
    else:
        data = _all(compressed.chunks(path, extent))
        yield from [data] if isinstance(data, Unreadable) else _single(data, None, source)


def _all(pieces: Iterable[bytes]) -> bytes | Unreadable:
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > MAXIMUM_RECORD_BYTES:
            return Unreadable(f"larger than {MAXIMUM_RECORD_BYTES} bytes")
    return b"".join(held)


def _wanted(name: str) -> bool:
    """Whether a member of an archive is read: TeX, or perhaps a paper."""
    lower = name.lower()
    return _is_tex(name) or (lower.endswith(_PACKED) and not lower.endswith(_FIGURES))


def _is_tex(name: str) -> bool:
    base = posixpath.basename(name)
    return base.lower().endswith(_TEX) or "." not in base or base.startswith(_README)


def _archive(
    found: Iterable[Member | Unreadable], paper: str | None, source: config.Source
) -> Iterator[Found]:
    """Reads an archive of one paper, or of many.

    Args:
        found: Its members.
        paper: Its name, if it is itself a paper in an archive; None if it may hold papers.
        source: The source.
    """
    files: dict[str, bytes] = {}
    others: list[str] = []
    whole, papers = True, 0
    for member in found:
        if isinstance(member, Unreadable):
            whole &= member.name is not None
            yield member._replace(name="/".join(filter(None, (paper, member.name))) or None)
        elif _is_tex(member.name):
            files[member.name] = member.data
            if sum(map(len, files.values())) > MAXIMUM_RECORD_BYTES:
                yield Unreadable(f"its TeX is larger than {MAXIMUM_RECORD_BYTES} bytes", name=paper)
                return
        elif paper is None and _wanted(member.name):
            papers += 1
            yield from _packed(member, source)
        elif member.name.lower().endswith((".pdf", ".ps", ".html")):
            others.append(member.name)
    if whole and any(map(_COMMAND.search, files.values())):
        yield from _paper(files, paper, source)
    elif papers or (others and paper is None):
        yield from (Passed("no_source", name) for name in others)
    elif whole:
        yield Unreadable("holds no TeX file", name=paper)


def _packed(member: Member, source: config.Source) -> Iterator[Found]:
    """Reads a member that is itself packed: a paper in an archive of many."""
    data, problem = member.data, ""
    if not member.name.lower().endswith(".tar"):
        data, problem = archives.gunzip(member.data, MAXIMUM_PAPER_BYTES)
    if problem:
        yield Unreadable(problem, name=member.name)
    elif archives.is_tar(data):
        yield from _archive(archives.tar_members(io.BytesIO(data), _is_tex), member.name, source)
    else:
        yield from _single(data, member.name, source)


def _single(data: bytes, paper: str | None, source: config.Source) -> Iterator[Found]:
    """Reads a paper of one file."""
    if data.startswith(_NO_TEX) or b"\0" in data or not _COMMAND.search(data):
        yield Passed("not_tex", paper)
    else:
        yield from _paper({"": data}, paper, source)


def _paper(files: dict[str, bytes], paper: str | None, source: config.Source) -> Iterator[Found]:
    """Turns the files of a paper into its text."""
    main = main_file(files)
    encoding = _encoding(files[main]) or source.encoding
    start = decoding.decode(files[main], encoding)
    if isinstance(start, Unreadable):
        yield start._replace(name=paper)
        return
    try:
        text = tex_text.to_text(start, source.latex.equations, _finder(files, main, encoding))
    except tex_text.EndlessError:
        yield Unreadable("its macros expand without end", name=paper)
    except _UndecodableError:
        yield Unreadable(f"a file that it reads is not valid {encoding}", name=paper)
    else:
        yield Text(text, name=paper) if text else Passed("no_text", paper)


def _finder(files: dict[str, bytes], main: str, encoding: str) -> Callable[[str], str | None]:
    """Finds what the main file reads, among the files of its paper."""
    folder = posixpath.dirname(main)

    def find(name: str) -> str | None:
        for start in dict.fromkeys((folder, "")):
            place = posixpath.normpath(posixpath.join(start, name))
            for each in (f"{place}.tex", place):
                if each in files and each != main:
                    # Packages bring macros, whatever the encoding of their comments.
                    return _decoded(files[each], "latin-1" if name.endswith(".sty") else encoding)
        return None

    return find


def _decoded(data: bytes, encoding: str) -> str:
    text = decoding.decode(data, encoding)
    if isinstance(text, Unreadable):
        raise _UndecodableError
    return text


def _encoding(data: bytes) -> str | None:
    found = _ENCODING.search(data)
    name = found[1].decode("ascii") if found else ""
    return _ENCODINGS.get(name, name if name.startswith(("cp", "koi8")) else None)


def main_file(files: dict[str, bytes]) -> str:
    """The name of the file that a paper begins with."""
    named = _named_by_readme(files)
    if named in files:
        return named
    read_by_others = {
        posixpath.basename(found.decode("latin-1").removesuffix(".tex"))
        for data in files.values()
        for found in _READS.findall(data)
    }

    def rank(name: str) -> tuple[bool, bool, bool, bool, int, str]:
        data, stem = files[name], posixpath.splitext(posixpath.basename(name))[0]
        return (
            not name.lower().endswith(".sty") and not name.startswith(_README),
            bool(_CLASS.search(data) and _BEGIN.search(data)),
            stem not in read_by_others,
            stem.lower() in _USUAL_NAMES,
            len(data),
            name,
        )

    return max(files, key=rank)


def _named_by_readme(files: dict[str, bytes]) -> str:
    """The main file that arXiv's own note names; empty if there is none."""
    for name, data in files.items():
        if name == f"{_README}.json":
            try:
                entries = json.loads(data)["sources"]
                return next(str(e["filename"]) for e in entries if e["usage"] == "toplevel")
            except (ValueError, LookupError, TypeError, StopIteration, RecursionError):
                continue
        if name.startswith(_README):
            lines = (line.split() for line in data.decode("latin-1").splitlines())
            found = (words[0] for words in lines if words[1:2] == ["toplevelfile"])
            return next(found, "")
    return ""
