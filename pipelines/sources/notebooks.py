"""Jupyter notebooks as text: what was written, in order; what came out of it is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.sources.record import Unreadable, usable

_FENCES = re.compile(r"^ {0,3}(`{3,})", re.MULTILINE)


def to_text(content: str) -> str | Unreadable:
    """Turns a notebook, of version 3 or 4 of its format, into Markdown.

    Text cells stand as they are, code cells between fences with the language of the notebook.
    Outputs, attachments and cells without text are left out.
    """
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError):
        return Unreadable("not a notebook: no valid JSON")
    if not isinstance(notebook, dict) or "nbformat" not in notebook:
        return Unreadable("not a notebook: expected a JSON object with nbformat")
    language = _language(notebook.get("metadata"))
    parts = [_cell(cell, language) for cell in _cells(notebook)]
    text = "\n\n".join(part for part in parts if part)
    return Unreadable(problem) if (problem := usable(text)) else text


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sheets = notebook.get("worksheets")
    for holder in sheets if isinstance(sheets, list) else [notebook]:
        cells = holder.get("cells") if isinstance(holder, dict) else None
        for cell in cells if isinstance(cells, list) else ():
            if isinstance(cell, dict):
                yield cell


def _language(metadata: Any) -> str:
    """The language of a notebook's code, as its metadata name it."""
    for section, key in (("language_info", "name"), ("kernelspec", "language")):
        found = metadata.get(section) if isinstance(metadata, dict) else None
        name = found.get(key) if isinstance(found, dict) else None
        if isinstance(name, str) and re.fullmatch(r"[\w+#.-]{1,30}", name):
            return name.lower()
    return ""


def _cell(cell: dict[str, Any], language: str) -> str:
    lines = cell.get("source", cell.get("input", ""))
    text = "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")
    text = text.strip("\n")
    if not text.strip():
        return ""
    if cell.get("cell_type") == "heading":  # of version 3
        level = cell.get("level")
        return f"{'#' * min(max(level, 1), 6) if isinstance(level, int) else '#'} {text}"
    if cell.get("cell_type") != "code":
        return text
    fence = max((found[1] for found in _FENCES.finditer(text)), key=len, default="``") + "`"
    return f"{fence}{language}\n{text}\n{fence}"
