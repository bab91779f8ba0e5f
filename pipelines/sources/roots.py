"""Where a source starts: the folder that its files are named from."""

from __future__ import annotations

import glob
from pathlib import Path

from llm_keras import config


def root_of(source: config.Source) -> Path:
    """The folder of a source; of a single file its folder; of a glob what stands before the glob.

    Nothing outside of it belongs to the source: no card, no licence.
    """
    path = Path(source.path).expanduser().absolute()
    if path.is_dir():
        return path
    if path.exists() or not glob.has_magic(str(path)):
        return path.parent
    fixed = next(i for i, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:fixed])


def below(path: Path, root: Path) -> str:
    """The path of a file below the root, with forward slashes; its name where it is not below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
