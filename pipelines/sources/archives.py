"""Members of tar and zip archives, one after the other, without writing anything.

A member whose name leaves the archive, a link, a device, a member that is too large or encrypted is
`Unreadable` under its name, and the rest goes on. What an archive unpacks to is bounded as a
compressed file is.
"""

from __future__ import annotations

import errno
import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.sources import compressed
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Unreadable

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
ZIP_SUFFIXES = (".zip",)
SUFFIXES = (*TAR_SUFFIXES, *ZIP_SUFFIXES)

#: What damaged or hostile archives make the standard library raise.
_TAR_ERRORS = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError)
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, LookupError),
)
_DRIVE = re.compile(r"[A-Za-z]:")


class Member(NamedTuple):
    """A file of an archive.

    Args:
        name: Its path, with forward slashes; it stays within the archive.
        data: Its bytes; empty where the caller did not want them.
    """

    name: str
    data: bytes


def _everything(_name: str) -> bool:
    return True


def members(
    path: Path,
    want: Callable[[str], bool] = _everything,
    maximum_bytes: int = MAXIMUM_RECORD_BYTES,
) -> Iterator[Member | Unreadable]:
    """Yields the files of an archive in its order; the last may be the note that it is damaged.

    Args:
        path: The archive; its name tells its kind.
        want: Whether the bytes of the member of this name are wanted. Others come empty.
        maximum_bytes: A larger member is `Unreadable`.
    """
    if path.name.lower().endswith(ZIP_SUFFIXES):
        yield from _zip(path, want, maximum_bytes)
        return
    extent = compressed.examine(path)
    pieces = compressed.chunks(path, extent)
    damaged = False
    for found in tar_members(_Stream(pieces), want, maximum_bytes):
        if isinstance(found, Unreadable) and found.name is None and extent.error:
            break  # what is wrong with the compressed file says more
        damaged = isinstance(found, Unreadable) and found.name is None
        yield found
    if extent.error and not damaged:
        yield Unreadable(extent.error, offset=extent.intact_bytes)


class _Info(tarfile.TarInfo):
    """A header whose damage ends the archive with an error.

    `tarfile` itself takes a header that is damaged, or missing, for the end of the archive.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Info:
        """Reads the next header."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the blocks that end it
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError("no header") from error


def tar_members(
    file: Any, want: Callable[[str], bool] = _everything, maximum_bytes: int = MAXIMUM_RECORD_BYTES
) -> Iterator[Member | Unreadable]:
    """Yields the files of a tar archive that is read once from front to end."""
    try:
        with tarfile.open(fileobj=file, mode="r|", tarinfo=_Info, encoding="utf-8") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it keeps all headers
                if not info.isdir():
                    yield _tar_member(archive, info, want, maximum_bytes)
    except _TAR_ERRORS:
        yield Unreadable("not a whole tar archive: damaged or cut short")


def _tar_member(
    archive: tarfile.TarFile, info: tarfile.TarInfo, want: Callable[[str], bool], most: int
) -> Member | Unreadable:
    name = printable(info.name)
    if problem := unsafe(info.name) or _special(info):
        return Unreadable(problem, name=name)
    name = _tidy(name)
    if not want(name):
        return Member(name, b"")
    if info.size > most:
        return Unreadable(f"larger than {most} bytes", name=name)
    file = archive.extractfile(info)
    data = file.read() if file else b""
    if len(data) != info.size:
        raise EOFError
    return Member(name, data)


def _special(info: tarfile.TarInfo) -> str:
    """Why a member is no file of its own; empty for one that is."""
    if info.issym() or info.islnk():
        return "a link; only files are read"
    if info.issparse():
        return "a sparse file; only plain ones are read"
    return "" if info.isreg() else "a device or pipe; only files are read"


def _zip(path: Path, want: Callable[[str], bool], most: int) -> Iterator[Member | Unreadable]:
    allowed = compressed.most_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                found = _zip_member(archive, info, want, most)
                allowed -= len(found.data) if isinstance(found, Member) else 0
                if allowed < 0:
                    yield Unreadable("unpacks to far more than its size: a decompression bomb?")
                    return
                yield found
    except (*_ZIP_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        yield Unreadable("not a whole zip archive: damaged or cut short")


def _zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, want: Callable[[str], bool], most: int
) -> Member | Unreadable:
    name = printable(info.filename)
    if problem := unsafe(info.filename) or _special_in_zip(info):
        return Unreadable(problem, name=name)
    name = _tidy(name)
    if not want(name):
        return Member(name, b"")
    if info.flag_bits & 1:
        return Unreadable("encrypted: its password is not known", name=name)
    try:
        with archive.open(info) as file:
            # Its header may say less than it holds.
            data = file.read(most + 1) if info.file_size <= most else None
    except _ZIP_ERRORS:
        return Unreadable("damaged, or packed in a way that is not read", name=name)
    if data is None or len(data) > most:
        return Unreadable(f"larger than {most} bytes", name=name)
    return Member(name, data)


def _special_in_zip(info: zipfile.ZipInfo) -> str:
    """Why a member is no file of its own; empty for one that is, or that does not say."""
    kind = info.external_attr >> 28  # the first digit of a Unix mode
    if info.create_system != 3 or kind in (0, 8):
        return ""
    return "a link; only files are read" if kind == 10 else "a device or pipe; only files are read"


def unsafe(name: str) -> str:
    """Why a name would leave the folder that an archive is unpacked to; empty if it would not.

    >>> [bool(unsafe(name)) for name in ("a/b.c", "../b.c", "/etc/passwd", "a/../../b", "C:/b.c")]
    [False, True, True, True, True]
    """
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "an absolute path; only paths within the archive are read"
    if ".." in parts:
        return "a path that leaves the archive"
    return "" if name.strip("./") else "a member without a name"


def printable(name: str) -> str:
    """A name without what could not be written down: half characters, control characters."""
    whole = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in whole)


def _tidy(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_tar(data: bytes) -> bool:
    """Whether bytes begin as a tar archive does: by its magic, or by a header's checksum."""
    header = data[:512]
    if len(header) < 512 or not header[0]:
        return False
    if header[257:262] == b"ustar":
        return True
    try:
        stated = int(header[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return stated == sum(header) - sum(header[148:156]) + 8 * 0x20


def gunzip(data: bytes, maximum_bytes: int) -> tuple[bytes, str]:
    """Unpacks a gzip file that lies in memory.

    Returns:
        Its content, and what is wrong with it: then the content is not to be trusted.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(maximum_bytes + 1)
    except EOFError:
        return b"", "ends in the middle of its compressed data: cut short"
    except (OSError, zlib.error, ValueError):
        return b"", "compressed data are damaged"
    if len(content) > maximum_bytes:
        return b"", f"decompresses to more than {maximum_bytes} bytes"
    return content, ""


class _Stream:
    """What `tarfile` needs of a file, over pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._piece = pieces, io.BytesIO()

    def read(self, size: int) -> bytes:
        """Reads `size` bytes, fewer only at the end."""
        parts = [self._piece.read(size)]
        missing = size - len(parts[0])
        while missing and (piece := next(self._pieces, None)) is not None:
            self._piece = io.BytesIO(piece)
            parts.append(self._piece.read(missing))
            missing -= len(parts[-1])
        return b"".join(parts)
