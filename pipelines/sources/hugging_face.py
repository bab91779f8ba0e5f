"""Data sets as the Hugging Face Hub lays them out: a folder with a card, and tables below it.

The card is `README.md`; its front matter names the licence, and may say which files belong to
which configuration and split:

    license: cc-by-4.0
    configs:
      - config_name: en
        data_files:
          - {split: train, path: "en/train-*"}
          - {split: test, path: "en/test-*"}

Where it does not, a file's split is read off its path, as the Hub's own library does. Of a folder
the files of splits for validation and test are passed over: they are what models are compared by.
A file that the run file names itself, or by a glob, is read whatever its split.

What is read is on this machine's disk; `pipelines/hub.py` puts there what a path of `hf://` names.

References:
    Hub documentation, "Manual Configuration" of datasets (`configs`, `data_files`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from llm_keras import config
from llm_keras.data import licences
from pipelines.sources import arrow, json_lines, parquet, roots
from pipelines.sources.record import Found, Passed, Piece, Text, Unreadable

IN_PIECES = (*parquet.IN_PIECES, *json_lines.IN_PIECES)
SUFFIXES = (*parquet.SUFFIXES, *arrow.SUFFIXES, *json_lines.SUFFIXES)
REASONS = ("held_out_split", "not_in_card")

MAXIMUM_CARD_BYTES = 2**20
#: How far above a file that was named itself its card may lie.
_LEVELS = 6
_HELD_OUT = frozenset(("test", "testing", "validation", "valid", "val", "dev", "eval"))
_POINTER = b"version https://git-lfs.github.com/spec/"


class DataFiles(NamedTuple):
    """Files that a card names.

    Args:
        name: Their configuration.
        split: Their split.
        pattern: Matches their paths below the card's folder.
    """

    name: str
    split: str
    pattern: re.Pattern[str]


class Card(NamedTuple):
    """What a data set says of itself.

    Args:
        licence: Its licences, joined by AND; None if it names none.
        files: What belongs to what; empty if it does not say.
    """

    licence: str | None = None
    files: tuple[DataFiles, ...] = ()


def read(path: Path, source: config.Source, piece: Piece | None = None) -> Iterator[Found]:
    """Reads one file of a data set, with the licence and the configuration that its card names.

    Args:
        path: The file.
        source: Its source.
        piece: Reads a part of a table or of plain lines; None: all.
    """
    first = piece is None or piece.place == 0  # what is said once a file
    card, place = _card_above(path, source)
    found = next((each for each in card.files if each.pattern.fullmatch(place)), None)
    if Path(source.path).expanduser().is_dir():
        reason = None
        if card.files and found is None:
            reason = "not_in_card"
        elif _held_out(found.split if found else place):
            reason = "held_out_split"
        if reason is not None:
            if first:
                yield Passed(reason)
            return
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            yield Unreadable("a Git LFS pointer; fetch the file itself with: git lfs pull")
            return
    several = len({each.name for each in card.files}) > 1
    subset = found.name if found and several else None
    for each in _rows(path, source, piece):
        if isinstance(each, Text):
            yield each._replace(
                licence=licences.canonical(each.licence) if each.licence else card.licence,
                subset=each.subset or subset,
            )
        else:
            yield each


def _rows(path: Path, source: config.Source, piece: Piece | None) -> Iterator[Text | Unreadable]:
    name = path.name.lower()
    if name.endswith(parquet.SUFFIXES):
        return parquet.read(path, source, piece)
    if name.endswith(arrow.SUFFIXES):
        return arrow.read(path, source)
    return json_lines.read(path, source, piece)


def _held_out(split_or_path: str) -> bool:
    """Whether a name says that what it names is for validation or test.

    >>> [_held_out(name) for name in ("train", "test_sft", "data/validation-00000.parquet")]
    [False, True, True]
    """
    words = set(re.split(r"[^a-z]+", split_or_path.lower()))
    return bool(words & _HELD_OUT) and "train" not in words


def _card_above(path: Path, source: config.Source) -> tuple[Card, str]:
    """The card nearest above a file, and the file's path below the card's folder.

    Of a folder nothing above the folder counts; a file named itself may lie deep in its data set.
    """
    root = roots.root_of(source)
    whole = Path(source.path).expanduser().is_dir()
    if not path.is_relative_to(root):  # a copy of a file that lies elsewhere
        return Card(), path.name
    for level, folder in enumerate(path.parents):
        readme = folder / "README.md"
        if readme.is_file() and (card := _card(readme, readme.stat().st_mtime_ns)) is not None:
            return card, path.relative_to(folder).as_posix()
        if (whole and folder == root) or level == _LEVELS:
            break
    return Card(), roots.below(path, root)


@functools.lru_cache(maxsize=64)
def _card(readme: Path, _changed_ns: int) -> Card | None:
    """Reads a card; None for a README without front matter, or whose front matter is no YAML."""
    with readme.open("rb") as file:
        text = file.read(MAXIMUM_CARD_BYTES).decode("utf-8-sig", "replace")
    matter = re.match(r"---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", text, re.DOTALL | re.MULTILINE)
    try:
        # libyaml bounds how deep things nest, and takes no time over what nests deeper.
        said = yaml.load(matter[1], Loader=yaml.CSafeLoader) if matter else None
    except (yaml.YAMLError, ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return None
    return Card(_licence(said), tuple(_data_files(said.get("configs"))))


def _licence(said: dict[Any, Any]) -> str | None:
    """The licences of a card, in SPDX's capitals; of one that is `other` its own name."""
    tags = said.get("license")
    tags = [tag for tag in (tags if isinstance(tags, list) else [tags]) if isinstance(tag, str)]
    own = said.get("license_name")
    named = [own if tag == "other" and isinstance(own, str) else tag for tag in tags]
    known = dict.fromkeys(licences.canonical(tag) for tag in named if tag != "unknown")
    return " AND ".join(known) or None


def _data_files(configs: Any) -> Iterator[DataFiles]:
    """What the section `configs` says of files, in any of the forms it may have."""
    for each in configs if isinstance(configs, list) else ():
        if not isinstance(each, dict):
            continue
        name = str(each.get("config_name", "default"))
        folder = each.get("data_dir")
        files = each.get("data_files") or (f"{folder}/**" if isinstance(folder, str) else None)
        for split, pattern in _splits(files):
            if isinstance(pattern, str) and "://" not in pattern and _simple(pattern):
                yield DataFiles(name, split, pattern_of(pattern.removeprefix("./")))


def _splits(files: Any) -> Iterator[tuple[str, Any]]:
    """Pairs of a split and a pattern."""
    if isinstance(files, dict):
        files = [{"split": split, "path": path} for split, path in files.items()]
    for each in files if isinstance(files, list) else [files]:
        split, paths = "train", each
        if isinstance(each, dict):
            split, paths = str(each.get("split", "train")), each.get("path")
        for path in paths if isinstance(paths, list) else [paths]:
            yield split, path


#: A path has no use for more; a pattern of very many would take long to match.
_MAXIMUM_WILD = 8
_WILD = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]")


def _simple(glob: str) -> bool:
    return len(_WILD.findall(glob)) <= _MAXIMUM_WILD


def pattern_of(glob: str) -> re.Pattern[str]:
    """A glob in which `**` crosses folders, as a regular expression."""
    kinds = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces, end = [], 0
    for wild in _WILD.finditer(glob):
        pieces.append(re.escape(glob[end : wild.start()]))
        pieces.append(kinds.get(wild[0]) or _one_of(wild[0]))
        end = wild.end()
    return re.compile("".join((*pieces, re.escape(glob[end:]))))


def _one_of(brackets: str) -> str:
    inner = re.escape(brackets[1:-1].removeprefix("!")).replace(r"\-", "-")
    pattern = f"[{'^' if brackets[1] == '!' else ''}{inner}]"
    try:
        re.compile(pattern)
    except re.error:  # such as [z-a]
        return re.escape(brackets)
    return pattern
