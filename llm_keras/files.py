"""Files that are whole or absent, their hashes, and JSON in them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from llm_keras.errors import UserError


def write_whole(path: Path, content: str | bytes) -> None:
    """Puts `content` in the place of the file, whole or not at all, also if the machine stops.

    A reader meets the old file or the new one. Text is written as UTF-8.

    Raises:
        OSError: The file cannot be written; the old one stands.
    """
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None where there is no such file.

    Raises:
        UserError: It is not a JSON object; the message names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path}: not JSON; run the stage again that writes it") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; run the stage again that writes it")
    return content
