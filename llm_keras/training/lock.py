"""One training at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_keras.errors import UserError


@contextmanager
def only_one(path: Path, *, chief: bool = True) -> Iterator[None]:
    """Holds the lock file `path`. The kernel lets go of it when the process ends, however it ends.

    Args:
        path: The file.
        chief: False in the processes that train with the one that holds the lock.

    Raises:
        UserError: Another process holds it.
    """
    if not chief:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                f"{path.parent}: process {holder} trains here already; wait for it, stop it, or"
                " choose another --output"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
