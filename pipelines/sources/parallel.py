"""Parallel texts: two aligned files with a segment a line, or two modules aligned by verse.

The translation of a file lies where `target_path` says: it is that file, or the file of the same
name below that folder. What stands in both at the same line, or the same verse, is a pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from llm_keras import config
from llm_keras.errors import UserError
from pipelines.sources import compressed, sword
from pipelines.sources.compressed import Extent
from pipelines.sources.json_lines import Line, lines
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Text, Unreadable, usable

_TEXT = (".txt", ".text")
SUFFIXES = (*_TEXT, *(kind + packed for kind in _TEXT for packed in (".gz", ".zst")), ".bzs")


def read(path: Path, source: config.Source) -> Iterator[Text | Unreadable]:
    """Reads the pairs of one file and its translation.

    Raises:
        UserError: The two have not the same number of lines: no pair of them can be trusted.
    """
    other = target_of(path, source)
    if is_module(path):
        yield from sword.read(path, other, source)
        return
    extents = [compressed.examine(side) for side in (path, other)]
    for side, extent in zip(("source", "target"), extents, strict=True):
        if extent.error:
            yield Unreadable(f"its {side} side {extent.error}", offset=extent.intact_bytes)
            return
    _check_aligned(path, other, source, extents)
    sides = [
        lines(compressed.chunks(side, extent))
        for side, extent in zip((path, other), extents, strict=True)
    ]
    subset = _subset(path, source)
    for pair in zip(*sides, strict=False):  # as many lines: counted above
        yield _pair(pair, source, subset)


def is_module(path: Path) -> bool:
    """Whether a file stands for a testament of a SWORD module."""
    return path.name in [f"{testament}.bzs" for testament in sword.TESTAMENTS]


def target_of(path: Path, source: config.Source) -> Path:
    """Where the translation of the file `path` of a source lies."""
    root, target = (
        Path(each).expanduser().absolute() for each in (source.path, source.target_path or "")
    )
    return target / path.relative_to(root) if root.is_dir() else target


def check(found: Iterable[Path], source: config.Source) -> list[Path]:
    """Looks whether every file has its translation, before anything is read.

    Args:
        found: The files of the side to translate from.
        source: Their source.

    Returns:
        All other files that are read: translations, and those of modules.

    Raises:
        UserError: A side has a file that the other has not, or a module is not whole.
    """
    root = Path(source.path).expanduser().absolute()
    if not root.exists():
        raise UserError(
            f"corpus source {source.name}: kind parallel takes a file or a folder as path and"
            f" target_path, not {source.path}; make a source of each file"
        )
    partners = {path: target_of(path, source) for path in found}
    for path, other in partners.items():
        if not other.is_file():
            raise UserError(
                f"corpus source {source.name}: {path} has no translation {other}; expected two"
                " files, two folders of equally named files, or two SWORD modules (the folders"
                " that hold ot.bzs or nt.bzs)"
            )
    _check_nothing_alone(set(partners.values()), source)
    beside = list(partners.values())
    for side in (path for pair in partners.items() for path in pair):
        if is_module(side):
            sword.check(side, source.name)
            beside += [side.with_suffix(suffix) for suffix in sword.SUFFIXES[1:]]
    return sorted(set(beside))


def _check_nothing_alone(known: set[Path], source: config.Source) -> None:
    target = Path(source.target_path or "").expanduser().absolute()
    for path in sorted(target.rglob("*")) if target.is_dir() else ():
        hidden = any(part.startswith(".") for part in path.relative_to(target).parts)
        if path.name.lower().endswith(SUFFIXES) and path not in known and not hidden:
            raise UserError(
                f"corpus source {source.name}: {path} is the translation of nothing in"
                f" {source.path}; add its original there, or remove it"
            )


def _check_aligned(
    path: Path, other: Path, source: config.Source, extents: Iterable[Extent]
) -> None:
    counts = [
        _count_lines(compressed.chunks(side, extent))
        for side, extent in zip((path, other), extents, strict=True)
    ]
    if counts[0] != counts[1]:
        raise UserError(
            f"corpus source {source.name}: expected as many lines in both files, found {counts[0]}"
            f" in {path} and {counts[1]} in {other}; align them, a line each for every segment"
        )


def _count_lines(pieces: Iterable[bytes]) -> int:
    count, last = 0, b"\n"
    for piece in pieces:
        count += piece.count(b"\n")
        last = piece[-1:] or last
    return count + (last != b"\n")


def _subset(path: Path, source: config.Source) -> str | None:
    """The name of a file below the source's folder, without what tells its format."""
    root = Path(source.path).expanduser().absolute()
    if not root.is_dir():
        return None
    name = path.relative_to(root).as_posix()
    return next(
        (name[: -len(each)] for each in reversed(SUFFIXES) if name.lower().endswith(each)), name
    )


def _pair(pair: tuple[Line, ...], source: config.Source, subset: str | None) -> Text | Unreadable:
    texts = []
    for side, line in zip(("source", "target"), pair, strict=True):
        if line.data is None:
            error = f"its {side} side is longer than {MAXIMUM_RECORD_BYTES} bytes"
            return Unreadable(error, line.number, line.offset)
        try:
            text = line.data.decode(source.encoding).removesuffix("\r")
        except UnicodeDecodeError as error:
            problem = f"its {side} side is not valid {source.encoding}"
            return Unreadable(problem, line.number, line.offset + error.start)
        if line.number == 1:
            text = text.removeprefix("\ufeff")
        if problem := usable(text):
            return Unreadable(f"its {side} side {problem}", line.number, line.offset)
        texts.append(text)
    return Text(texts[0], target=texts[1], subset=subset)
