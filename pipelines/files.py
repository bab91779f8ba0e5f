"""Finds the files of the corpus sources, before anything else starts."""

from __future__ import annotations

import codecs
import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from llm_keras import config
from llm_keras.errors import UserError
from pipelines import hub, storage
from pipelines.sources import KINDS, archives, parallel, parquet
from pipelines.storage import BeamIOError

#: Code that can be read alone: of a tree elsewhere the LICENSE files would be missing.
WHOLE_CODE = (*archives.SUFFIXES, *parquet.SUFFIXES)


class SourceFile(NamedTuple):
    """One file to read.

    Args:
        source: Name of its source.
        locator: Its path below the source's root, with forward slashes: its name in ids.
        path: Where it is, absolute, in the bytes of the file system.
        bytes: Its size.
        modified_ns: When it was last written, in nanoseconds.
    """

    source: str
    locator: str
    path: bytes
    bytes: int
    modified_ns: int


class Listing(NamedTuple):
    """The files of one source.

    Args:
        files: What to read, sorted by locator.
        ignored: How many others were passed over.
        beside: What is read together with `files`, such as translations.
    """

    files: list[SourceFile]
    ignored: int
    beside: list[SourceFile]


#: `source/locator`, bytes, time of last change in nanoseconds.
Input = tuple[str, int, int]


def inputs(run: config.Run) -> list[Input]:
    """The files that curation reads, sorted; lists and evaluation texts are among them.

    Raises:
        UserError: A source or list is missing or has no files.
    """
    return described(run.corpus, map(find, run.corpus.sources))


def described(corpus: config.Corpus, listings: Iterable[Listing]) -> list[Input]:
    """`inputs`, of sources that were listed before.

    Raises:
        UserError: A list is missing.
    """
    lists = [(f"list {path}", *_size_and_time(path)) for path in sorted(lists_of(corpus))]
    return lists + sorted(
        (f"{file.source}/{file.locator}", file.bytes, file.modified_ns)
        for listing in listings
        for file in (*listing.files, *listing.beside)
    )


def lists_of(corpus: config.Corpus) -> set[str]:
    """Paths of every list that the settings name."""
    screening, compared = corpus.screening, corpus.decontaminate
    named = {*screening.opt_out, *screening.blocked_urls, *screening.toxic_words.values()}
    return named | set(compared.paths if compared is not None else ())


def _size_and_time(path: str) -> tuple[int, int]:
    """Bytes and last change of a list: of a folder, all bytes and the latest change."""
    place = Path(path).expanduser()
    if not place.exists():
        raise UserError(
            f"{path}: no such file or folder; create it, or take it out of the run file"
        )
    files = [each for each in place.rglob("*") if each.is_file()] if place.is_dir() else [place]
    found = [each.stat() for each in files]
    return sum(s.st_size for s in found), max((s.st_mtime_ns for s in found), default=0)


def find(source: config.Source) -> Listing:
    """Lists the files of one source.

    A folder is searched for the kind's file names, hidden files and folders left out; files
    named one by one, or by a glob, are taken whatever their name.

    Raises:
        UserError: Nothing is there, or nothing of the kind, or it cannot be listed.
    """
    _check_encoding(source)
    if source.is_of_hub:
        hub.check(source)
        # Its path stands for files that are not here yet.
        return Listing([SourceFile(source.name, source.path, b"", 0, 0)], 0, [])
    if storage.is_remote(source.path):
        return _find_remote(source)
    root, named = _named(source)
    found: set[Path] = set()
    others: set[Path] = set()
    for path in named:
        if path.is_dir():
            for file in _walk(path, source):
                if file.name.lower().endswith(KINDS[source.kind].suffixes):
                    found.add(file)
                else:
                    others.add(file)
        elif path.is_file():
            found.add(path)
    others -= found
    if not found:
        raise UserError(_nothing(source, named, len(others)))
    beside = parallel.check(sorted(found), source) if source.target_path else []
    return Listing(
        files=sorted(_describe(source, path, root) for path in found),
        ignored=len(others - set(beside)),
        beside=[_describe(source, path, Path(os.path.commonpath([path, root]))) for path in beside],
    )


def _find_remote(source: config.Source) -> Listing:
    """Lists the files of a source in an object store or another file system that Beam knows."""
    if source.target_path or source.kind == "hugging_face":
        raise UserError(
            f"corpus source {source.name}: kind {source.kind} looks at several files together and"
            f" reads this machine's; copy {source.path} here"
        )
    pattern, root = source.path, source.path.rstrip("/")
    magic = glob.has_magic(source.path)
    if magic:
        fixed = itertools.takewhile(lambda part: not glob.has_magic(part), root.split("/"))
        root = "/".join(fixed)
    try:
        found = storage.listing(pattern) if magic else _below(root)
    except (BeamIOError, ValueError, ImportError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"corpus source {source.name}: cannot list {pattern}: {said}; correct the path, or"
            " install what Beam needs for it, such as apache-beam[gcp]"
        ) from None
    suffixes = KINDS[source.kind].suffixes if source.kind != "code" else WHOLE_CODE
    chosen = [each for each in found if magic or _is_of_kind(each.path, root, suffixes)]
    if not chosen:
        raise UserError(
            f"corpus source {source.name}: expected files of kind {source.kind}"
            f" ({', '.join(suffixes)}) in {pattern}, found {len(found)} of other kinds; correct the"
            " source's path or kind"
        )
    files = [
        SourceFile(
            source.name,
            each.path.removeprefix(root).lstrip("/") or each.path.rpartition("/")[2],
            os.fsencode(each.path),
            each.size_in_bytes,
            int((each.last_updated_in_seconds or 0) * 10**9),
        )
        for each in chosen
    ]
    return Listing(sorted(files), len(found) - len(chosen), [])


def _below(root: str) -> list[Any]:
    """A file, or everything below a folder."""
    return storage.listing(root) if storage.exists(root) else storage.listing(f"{root}/**")


def _is_of_kind(path: str, root: str, suffixes: tuple[str, ...]) -> bool:
    below = path.removeprefix(root).lstrip("/")
    hidden = any(part.startswith(".") for part in below.split("/"))
    return not hidden and path.lower().endswith(suffixes)


def _named(source: config.Source) -> tuple[Path, list[Path]]:
    """The root that locators start from, and the files and folders that the path names."""
    path = Path(source.path).expanduser().absolute()
    if path.is_dir():
        return path, [path]
    if path.exists():
        return path.parent, [path]
    if not glob.has_magic(str(path)):
        raise UserError(
            f"corpus source {source.name}: no such file or folder: {path};"
            " create it, or correct the source's path"
        )
    parts = path.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob finds hidden files
    return Path(*parts[:fixed]), [Path(match) for match in matches]


def _walk(folder: Path, source: config.Source) -> Iterator[Path]:
    """Every file below `folder` that is not hidden; links to folders are not followed."""

    def fail(error: OSError) -> None:
        raise UserError(
            f"corpus source {source.name}: cannot list {error.filename}: {error.strerror};"
            " make it readable, or correct the source's path"
        )

    for where, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _describe(source: config.Source, path: Path, root: Path) -> SourceFile:
    status = path.stat()
    name = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")
    return SourceFile(source.name, name, os.fsencode(path), status.st_size, status.st_mtime_ns)


def _nothing(source: config.Source, named: list[Path], ignored: int) -> str:
    path = Path(source.path).expanduser().absolute()
    suffixes = ", ".join(KINDS[source.kind].suffixes)
    if not named:
        return f"corpus source {source.name}: nothing matches {path}; correct the source's path"
    found = f"found only {ignored} of other kinds" if ignored else "found none"
    return (
        f"corpus source {source.name}: expected files of kind {source.kind} ({suffixes}) in"
        f" {path}, {found}; add some, or correct the source's path or kind"
    )


def _check_encoding(source: config.Source) -> None:
    """Refuses an encoding that does not exist, or in which lines cannot be told apart."""
    try:
        b"a".decode(source.encoding, "replace")
        line_feed = "\n".encode(source.encoding)
    except LookupError:
        raise UserError(
            f"corpus source {source.name}: unknown encoding {source.encoding!r};"
            " name one that Python knows, such as utf-8 or latin-1"
        ) from None
    if source.kind in ("jsonl", "parallel") and line_feed.removeprefix(codecs.BOM_UTF8) != b"\n":
        what = "JSON lines" if source.kind == "jsonl" else "parallel texts"
        raise UserError(
            f"corpus source {source.name}: {what} in {source.encoding} cannot be cut into"
            " lines; convert the files to UTF-8"
        )
