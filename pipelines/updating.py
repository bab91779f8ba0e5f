"""What an earlier curation left, and what of it is out of date."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Any

from llm_keras import config
from llm_keras.errors import UserError
from pipelines import files, outcome, storage
from pipelines.curation_steps import Earlier
from pipelines.files import SourceFile
from pipelines.steps.carry import file_of

#: The files that a curation read, beside curation.json: name -> bytes and last change.
INPUTS = "inputs.json"


def listed(inputs: Sequence[files.Input]) -> dict[str, list[int]]:
    """The content of inputs.json."""
    return {name: [size_bytes, changed] for name, size_bytes, changed in inputs}


def name_of(file: SourceFile) -> str:
    """`source/locator`."""
    return f"{file.source}/{file.locator}"


def earlier(run: config.Run, corpus: str, read: Sequence[files.Input], *, replay: bool) -> Earlier:
    """The curation in a folder, and which files are to be read again.

    Args:
        run: Its settings.
        corpus: The folder.
        read: The files that there are now.
        replay: Those with dead letters; else those that are new, changed or gone.

    Raises:
        UserError: There is no curation, or one of other settings.
    """
    try:
        curation = json.loads(storage.read(storage.join(corpus, "curation.json")))
        before = json.loads(storage.read(storage.join(corpus, INPUTS)))
    except (OSError, ValueError):
        raise UserError(
            f"{corpus}: no curation to add to; run `llm-keras curate` without --incremental and"
            " --replay first"
        ) from None
    if curation["settings_hash"] != outcome.settings_hash(run):
        raise UserError(
            f"{corpus}: was curated with other settings of seed or corpus; run `llm-keras curate`"
            " without --incremental and --replay"
        )
    names = list(curation["files"])
    again = frozenset(_dead(corpus, names) if replay else _changed(run, read, before))
    return Earlier(corpus, names, again)


def _changed(
    run: config.Run, read: Sequence[files.Input], before: dict[str, list[int]]
) -> Iterator[str]:
    """Files that are new, changed or gone; with a translation that changed all of its source."""
    now = listed(read)
    different = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    for name in different:
        if name.startswith("list "):
            raise UserError(
                f"{name.removeprefix('list ')}: has changed, and with it what may stay; run"
                " `llm-keras curate` without --incremental"
            )
    pairs = {source.name for source in run.corpus.sources if source.target_path is not None}
    whole = {name.partition("/")[0] for name in different} & pairs
    for name in {*before, *now}:
        if name in different or name.partition("/")[0] in whole:
            yield name


def _dead(corpus: str, names: Sequence[str]) -> Iterator[str]:
    """Files of which something could not be read."""
    for name in names:
        if name.startswith("dead_letters/"):
            packed = gzip.decompress(storage.read(storage.join(corpus, name)))
            for line in packed.splitlines():
                row: dict[str, Any] = json.loads(line)
                yield file_of(row)
