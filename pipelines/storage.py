"""Files in any place that Beam knows: a local path, `gs://`, `s3://`, `hdfs://`.

Paths are strings. What is written is whole or absent: an object store shows an object when it is
closed, and a local file gets its name last.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from llm_keras.errors import UserError
from pipelines.quiet import beam  # noqa: F401 - first, so that Beam's notes stay off the terminal

from apache_beam.io.filesystem import BeamIOError, CompressionTypes  # isort: skip
from apache_beam.io.filesystems import FileSystems  # isort: skip

__all__ = [
    "BeamIOError",
    "absolute",
    "alone",
    "exists",
    "is_remote",
    "join",
    "listing",
    "local_copy",
    "move",
    "move_tree",
    "open_to_read",
    "read",
    "remove",
    "remove_tree",
    "write",
    "writing",
]


def is_remote(path: str) -> bool:
    """Whether a path has a scheme, such as gs://."""
    return "://" in path


def absolute(path: str) -> str:
    """A local path from the root; one with a scheme as it is."""
    return path if is_remote(path) else str(Path(path).expanduser().absolute())


def join(*parts: str) -> str:
    """Joins parts of a path, in any place."""
    return "/".join(part.rstrip("/") for part in parts)


def open_to_read(path: str) -> IO[bytes]:
    """Opens a file, packed or not, for its bytes as they are."""
    if not is_remote(path):
        return Path(path).open("rb")
    raw = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return cast("IO[bytes]", raw)


def read(path: str, start: int = 0, size: int | None = None) -> bytes:
    """Reads a file, or a piece of it."""
    with open_to_read(path) as file:
        if start:
            file.seek(start)
        return file.read() if size is None else file.read(size)


@contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """A file to write; it is there when the block ends well, and never a part of it.

    A worker that does the same again puts the same in its place.
    """
    if is_remote(path):
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield cast("IO[bytes]", file)
        return
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = final.with_name(f"{final.name}.{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(final)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write(path: str, data: bytes) -> None:
    """Writes a file, whole or not at all."""
    with writing(path) as file:
        file.write(data)


@contextmanager
def alone(folder: str) -> Iterator[None]:
    """Refuses a second process in a folder; the system frees the lock however this one ends.

    A folder of an object store has no locks: there it is upon whoever starts jobs.

    Raises:
        UserError: Another is at work there.
    """
    if is_remote(folder):
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UserError(
            f"{folder}: another process is at work here; wait for it, or take another --output"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def exists(path: str) -> bool:
    """Whether there is such a file."""
    return Path(path).exists() if not is_remote(path) else bool(FileSystems.exists(path))


def remove_tree(path: str) -> None:
    """Removes a folder and all in it, if it is there."""
    if not is_remote(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    if found := [each.path for each in listing(join(path, "**"))]:
        FileSystems.delete(found)


def move_tree(source: str, target: str) -> None:
    """Puts a folder in the place of another."""
    remove_tree(target)
    if not is_remote(target):
        Path(source).replace(target)
        return
    found = [each.path for each in listing(join(source, "**"))]
    places = [join(target, path.removeprefix(source).lstrip("/")) for path in found]
    FileSystems.rename(found, places)


def move(source: str, target: str) -> None:
    """Puts a file in the place of another."""
    if not is_remote(target):
        Path(source).replace(target)
        return
    remove(target)
    FileSystems.rename([source], [target])


def remove(path: str) -> None:
    """Removes a file, if it is there."""
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
    elif exists(path):
        FileSystems.delete([path])


def listing(pattern: str) -> list[Any]:
    """What matches a glob: Beam's `FileMetadata`, with path, size_in_bytes and last change."""
    return list(FileSystems.match([pattern])[0].metadata_list)


@contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """A file of any place as a local one, for as long as the block lasts."""
    if not is_remote(path):
        yield Path(path)
        return
    name = Path(path).name
    with tempfile.TemporaryDirectory(prefix="llm-keras-") as folder:
        # The name's end says what kind of file it is; the rest of it is nobody's business.
        copy = Path(folder) / f"file{''.join(Path(name).suffixes[-2:])}"
        with open_to_read(path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        yield copy
