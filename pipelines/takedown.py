"""`llm-keras takedown`: takes documents out of a run's texts, rows and index.

    1. new shards and indexes are made in a hidden folder; an error up to here changes nothing
    2. takedowns.jsonl: begun
    3. documents/ and rejected/: each file that holds one is written anew; pages that quote go
    4. new shards and indexes go beside the old, under names of their own
    5. manifest.json: one rename; a reader met the old until here, and meets the new from here on
    6. old shards and indexes go
    7. takedowns.jsonl: done

Killed anywhere, the next takedown ends what this one began.
"""

from __future__ import annotations

import datetime
import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Set
from pathlib import Path
from typing import NamedTuple

from llm_keras.data import manifest as manifests
from llm_keras.data import takedowns
from llm_keras.data.document import write_json_lines
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from pipelines import corpus_manifest, document_index, storage, take_out
from pipelines.take_out import Rewritten
from pipelines.tokenize import working_folder
from pipelines.trained_on import trained_on

#: The start of a line that curation wrote.
_FIRST = re.compile(rb'\{"id": "([^"\\]*)"')


class TakenDown(NamedTuple):
    """What a takedown came to.

    Args:
        found: Ids that are gone now.
        missing: Ids of no document.
        texts: Files of texts that were written anew.
        shards: New shards.
        learnt: Checkpoints and exports that learnt from these documents, or may have.
    """

    found: tuple[str, ...]
    missing: tuple[str, ...]
    texts: tuple[str, ...]
    shards: tuple[str, ...]
    learnt: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The same for a person to read."""
        yield f"takedown: {len(self.found)} documents are gone"
        yield from (f"  not there: {each}" for each in self.missing)
        yield from (f"  written anew: {each}" for each in (*self.texts, *self.shards))
        if self.learnt:
            yield "learnt from them, or may have, and cannot unlearn; train anew, or withdraw:"
            yield from (f"  {each}" for each in self.learnt)


def takedown(ids: Iterable[str], folder: RunFolder) -> TakenDown:
    """Removes documents, and all that an earlier takedown began and did not end.

    Args:
        ids: Of the documents; all copies of a document go.
        folder: Of the run.

    Raises:
        UserError: None of the ids is there, too little would be left to train on, a file is
            damaged, or another process is at work in the corpus. Then nothing was changed.
    """
    corpus = folder.corpus.absolute()
    if not corpus.is_dir():
        raise UserError(f"{folder.corpus}: no such folder; give the folder of a curated run")
    begun = takedowns.unfinished(corpus)
    asked = sorted({*ids} | begun)
    with working_folder(str(corpus)) as staging:
        texts = {path: held for path in _texts(folder) if (held := _ids_in(path, set(asked)))}
        rows = _rewritten(folder, set(asked), Path(staging))
        there = begun.union(*texts.values(), rows.found if rows else ())
        if not there:
            raise UserError(_nowhere(asked, folder, takedowns.taken_down(corpus)))
        found = tuple(each for each in asked if each in there)
        takedowns.append(corpus, {"state": takedowns.BEGUN, "ids": list(found), "at": _now()})
        storage.remove_tree(str(corpus / ".curating"))  # texts that a killed curation left
        for page in (folder.report, folder.corpus_report):  # they quote
            page.unlink(missing_ok=True)
        for path in texts:
            _write_without(path, there)
        if rows:
            _publish(rows, corpus, Path(staging))
    takedowns.append(corpus, {"state": takedowns.DONE, "ids": list(found), "at": _now()})
    return TakenDown(
        found=found,
        missing=tuple(each for each in asked if each not in there),
        texts=tuple(str(path.relative_to(corpus)) for path in texts),
        shards=rows.new if rows else (),
        learnt=tuple(_learnt(folder, texts, rows)),
    )


def _nowhere(asked: list[str], folder: RunFolder, gone: Set[str]) -> str:
    already = [each for each in asked if each in gone]
    if already:
        return f"{folder.root}: {', '.join(already)}: taken down already"
    return (
        f"{folder.root}: holds no document {' or '.join(asked)}; `llm-keras inspect"
        f" {folder.documents}` shows ids"
    )


def _texts(folder: RunFolder) -> list[Path]:
    """Every file that may hold a text."""
    places = (folder.documents, folder.rejected)
    return [path.absolute() for place in places for path in sorted(place.glob("*.jsonl.gz"))]


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as lines:
            yield from lines
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: damaged ({type(error).__name__}); run `llm-keras curate` again")


def _id(line: bytes) -> str:
    """The id of a document, most often without reading the rest."""
    found = _FIRST.match(line)
    return found[1].decode() if found else str(json.loads(line)["id"])


def _ids_in(path: Path, ids: Set[str]) -> set[str]:
    try:
        return {found for line in _lines(path) if (found := _id(line)) in ids}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from None


def _write_without(path: Path, ids: Set[str]) -> None:
    left = (json.loads(line) for line in _lines(path) if _id(line) not in ids)
    with storage.writing(str(path)) as file:
        write_json_lines(file, left)


def _rewritten(folder: RunFolder, ids: Set[str], staging: Path) -> Rewritten | None:
    """The corpus of rows without the documents; None if there are no rows."""
    if not folder.manifest.exists():
        return None
    rows = take_out.rewrite(folder.corpus, manifests.read(folder.corpus), ids, staging)
    if rows.new:
        corpus_manifest.check(rows.manifest)
    return rows


def _learnt(folder: RunFolder, texts: Collection[Path], rows: Rewritten | None) -> Iterator[str]:
    """What may have learnt from the documents: all that was not trained on what is left.

    Nothing learns from documents that were rejected or held out.
    """
    old = rows.old if rows else ()
    touched = [path for path in texts if path.parent == folder.documents.absolute()]
    trained = any(name.startswith("train-") for name in (*(path.name for path in touched), *old))
    if (texts or old) and not trained:
        return
    yield from trained_on(folder, rows.manifest.fingerprint if rows else None)


def _publish(rows: Rewritten, corpus: Path, staging: Path) -> None:
    for name in rows.new:
        index = document_index.file_name(name)
        (staging / name).replace(corpus / name)
        (staging / index).replace(corpus / index)
    if rows.new:
        manifests.write(rows.manifest, corpus)
    for path in take_out.leftovers(corpus, rows.manifest):
        path.unlink()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
