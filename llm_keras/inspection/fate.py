"""What became of a document: kept, dropped, unreadable, taken down, or never seen.

The files of a corpus are looked through line by line. Of a line only the beginning and the end are
read, unless it is one of those asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_keras.data import curated, takedowns
from llm_keras.errors import UserError
from llm_keras.inspection.wanted import Found, at_place, by_id
from llm_keras.inspection.window import Window, shown
from llm_keras.pages.markup import number, size
from llm_keras.run_folder import RunFolder

#: Copies of copies that are followed: each step of a curation may name another document.
LONGEST_CHAIN = 8


def show(path: Path, asked: str, window: Window, *, texts: bool) -> Iterator[str]:
    """Says what became of a document.

    Args:
        path: A run's folder.
        asked: Its id, the beginning of it, or `source:locator`.
        window: Which documents of one locator are told one by one.
        texts: Whether to show how they begin.

    Raises:
        UserError: Nothing was curated there, nobody knows the document, or several begin so.
    """
    folder = RunFolder(path)
    if not folder.curation.is_file():
        raise UserError(f"{path}: no curated corpus in it; give a run's folder, after `curate`")
    found = by_id(folder, asked)
    if found:
        yield found[0].id
        for each in found:  # equal texts of one place share an id
            yield from _fate(folder, each, texts=texts)
        return
    yield from _of_place(folder, asked, window, texts=texts)


def _of_place(folder: RunFolder, asked: str, window: Window, *, texts: bool) -> Iterator[str]:
    """What became of everything at a place of a source, and at the places within it."""
    states: Counter[str] = Counter()
    chosen: list[Found] = []
    for each in at_place(folder, asked):
        if window.offset <= states.total() < window.offset + window.limit:
            chosen.append(each)
        reason = f": {each.row['reason']}" if each.state == "dropped" else ""
        states[each.state + reason] += 1
    if not states:
        yield _unknown(folder, asked)
        return
    listed = ", ".join(f"{number(count)} {shown(state)}" for state, count in states.most_common())
    yield f"{shown(asked)}: {listed}"
    if states.total() > len(chosen):
        yield window.told(states.total(), "documents")
    for each in chosen:
        yield each.id or shown(str(each.row["locator"]))
        yield from _fate(folder, each, texts=texts)


def _unknown(folder: RunFolder, asked: str) -> str:
    if asked in takedowns.taken_down(folder.corpus):
        return f"{asked}: was taken down; it is in no file, and later curations leave it out"
    raise UserError(
        f"{shown(asked)}: not known in {folder.corpus}; expected an id, the beginning of one, or"
        " source:locator"
    )


def _fate(folder: RunFolder, found: Found, *, texts: bool) -> Iterator[str]:
    tell = {"kept": _kept, "dropped": _dropped, "dead": _dead}[found.state]
    yield from (f"  {line}" for line in tell(folder, found))
    for side in ("text", "target") if texts else ():
        if text := str(found.row.get(side) or ""):
            yield f"    {size(len(text.encode(errors='replace')))}: {shown(text)}"


def _kept(_folder: RunFolder, found: Found) -> Iterator[str]:
    yield f"kept for {found.split}, in {found.file}"
    yield f"licence {shown(str(found.row.get('licence')))}, {_origin(found.row)}"
    taken_out = Counter(str(kind) for _, _, kind in found.row.get("redacted", ()))
    if taken_out:
        yield "redacted: " + ", ".join(f"{kind} {taken_out[kind]}" for kind in sorted(taken_out))


def _dropped(folder: RunFolder, found: Found) -> Iterator[str]:
    yield f"dropped{_why(found.row)}, in {found.file}"
    yield _origin(found.row)
    yield from _followed(folder, found.row)


def _dead(_folder: RunFolder, found: Found) -> Iterator[str]:
    line, offset = found.row.get("line"), found.row.get("offset")
    place = f" line {line}" if line is not None else ""
    place += f" byte {offset}" if offset is not None else ""
    yield f"dead{place}: {shown(str(found.row['error']))}, in {found.file}"


def _why(row: dict[str, Any]) -> str:
    step = _STEPS.get(str(row["reason"]), "read")
    return f" at step {step}: {shown(str(row['reason']))} ({shown(str(row['detail']))})"


#: Reason -> the step of curation that drops for it; all others are asked when a document is read.
_STEPS = {
    "older_page": "urls",
    "duplicate": "duplicates",
    "near_duplicate": "near",
    "repeated_lines": "finish",
    "contaminated": "finish",
}


def _origin(row: dict[str, Any]) -> str:
    known = [row.get(name) for name in ("source", "subset", "locator", "url")]
    return "from " + ", ".join(shown(str(each)) for each in known if each)


def _followed(folder: RunFolder, row: dict[str, Any]) -> Iterator[str]:
    """What became of the document that it was a copy of, and so on to the end."""
    seen = {str(row.get("id"))}
    copy = curated.copy_of(str(row["detail"]))
    while copy is not None and len(seen) <= LONGEST_CHAIN:
        kept = curated.find(folder.documents, [copy.id])
        if kept:
            file = kept[copy.id][0].relative_to(folder.corpus)
            yield f"{copy.id}: kept for {file.name.partition('-')[0]}, in {file}"
            return
        gone = {} if copy.id in seen else curated.find(folder.rejected, [copy.id])
        if not gone:
            yield f"{copy.id}: {_not_here(folder, copy.id)}"
            return
        _, other = gone[copy.id]
        yield f"{copy.id}: dropped{_why(other)}"
        seen.add(copy.id)
        copy = curated.copy_of(str(other["detail"]))


def _not_here(folder: RunFolder, name: str) -> str:
    if name in takedowns.taken_down(folder.corpus):
        return "was taken down"
    return "not in this corpus; an earlier run in the same index has it"
