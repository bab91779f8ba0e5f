r"""Stage `curate`: sources -> documents that are good, used once, clean, and allowed.

    read: files -> screened, judged by the rules -> parts
    urls, duplicates, lines, bands, near: which of them go, without moving a text
    finish: decontaminated, redacted, split -> documents, rejected, dead_letters, curation.json

Each step is a pipeline of its own (`pipelines/curation_steps.py`), and so the whole goes on where
it was killed. Also a Beam job: `python -m pipelines.curate --run RUN.yaml --output DIR
--runner=...`; sources and run folder must then be where all workers see them.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import hashlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_keras import config, run_file
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from pipelines import files, index, mixture, outcome, storage
from pipelines.counts import Counts
from pipelines.curation_steps import curated
from pipelines.files import inputs
from pipelines.options import mistake_in
from pipelines.stepping import Steps
from pipelines.steps.finish import FINISH
from pipelines.workplace import Workplace

__all__ = ["curate", "inputs", "main"]

#: What a curation leaves in a corpus folder, beside curation.json.
FOLDERS = ("documents", "rejected", "dead_letters")


def curate(
    run: config.Run,
    folder: RunFolder,
    beam_arguments: Sequence[str] = (),
    *,
    limit: int | None = None,
) -> None:
    """Curates the corpus of `run` into `folder`, complete or not at all.

    Args:
        run: The settings.
        folder: An earlier curation in it is replaced when the new one is complete.
        beam_arguments: Beam's own, such as `--runner=FlinkRunner`; local without.
        limit: Documents of each source to read at most, for a quick look; None: all.

    Raises:
        UserError: A source is missing or unreadable, or nothing is left to train or validate on.
    """
    _curate_into(run, str(folder.corpus.absolute()), beam_arguments, limit)


def _curate_into(
    run: config.Run, corpus: str, beam_arguments: Sequence[str], limit: int | None
) -> None:
    listings = {source.name: files.find(source) for source in run.corpus.sources}
    remembered = run.corpus.deduplicate.index
    snapshot = hashlib.sha256(corpus.encode()).hexdigest()[:16]
    if remembered is not None:
        index.check(remembered, run.corpus.deduplicate.near)
    with _staging(corpus) as staging:
        place = Workplace(run, staging, known=index.sources_in(remembered), snapshot=snapshot)
        fingerprint = [inputs(run), index.names(remembered, snapshot), limit]
        with tempfile.TemporaryDirectory(prefix="llm-keras-") as logs:
            log = Path(logs) / "workers.log"
            steps = Steps(staging, fingerprint, run.corpus.workers, beam_arguments, log)
            found = [listing.files for listing in listings.values()]
            counts = curated(steps, place, found, limit=limit, snapshot=snapshot)
        ignored = {name: listing.ignored for name, listing in listings.items()}
        curation = outcome.describe(run, counts, ignored)
        outcome.check(run, curation)
        curation |= mixture.describe(run, curation)
        _publish(storage.join(staging, FINISH), corpus, curation)


@contextlib.contextmanager
def _staging(corpus: str) -> Iterator[str]:
    """A folder to work in, beside the final one.

    It is gone after success and after a mistake of the user. After anything else, such as a worker
    that was killed, the steps that are finished stay in it, and the next run goes on from there.
    """
    staging = storage.join(corpus, ".curating")
    made = _make(corpus)
    try:
        with _alone(corpus):
            try:
                yield staging
            except Exception as error:
                if f"[Errno {errno.ENOSPC}]" in str(error):
                    storage.remove_tree(staging)
                    raise UserError(f"no space left in {corpus}; free some and run again") from None
                if (mistake := mistake_in(error)) is not None:
                    storage.remove_tree(staging)
                    raise mistake from None
                raise
            storage.remove_tree(staging)
    finally:
        with contextlib.suppress(OSError):
            for place in made:
                place.rmdir()  # empty only after a failure


def _make(corpus: str) -> list[Path]:
    """Makes the folder of the corpus; gives what was not there before."""
    if storage.is_remote(corpus):
        return []
    path = Path(corpus)
    made = [place for place in (path, path.parent) if not place.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / ".curating").mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{corpus}: cannot be written: {error.strerror}; choose another output folder"
        ) from None
    return made


@contextlib.contextmanager
def _alone(corpus: str) -> Iterator[None]:
    """Refuses a second process; the system frees the lock however this one ends.

    A folder of an object store has no locks: there it is upon whoever starts jobs.
    """
    if storage.is_remote(corpus):
        yield
        return
    handle = os.open(corpus, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(
            f"{corpus}: another process is at work here; wait for it, or take another --output"
        ) from None
    finally:
        os.close(handle)


def _publish(finished: str, corpus: str, curation: Counts) -> None:
    """Puts the new files in the place of old ones; curation.json is there only when all are."""
    storage.remove(storage.join(corpus, "curation.json"))
    for name in FOLDERS:
        storage.move_tree(storage.join(finished, name), storage.join(corpus, name))
    _write_json(curation, storage.join(corpus, "curation.json"))


def _write_json(tree: dict[str, Any], path: str) -> None:
    storage.write(path, json.dumps(tree, indent=1, ensure_ascii=False).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the stage as a Beam job; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.curate", description="Other arguments are Beam's."
    )
    parser.add_argument("--run", required=True, type=Path, help="the run file")
    parser.add_argument("--output", required=True, help="the run folder, in any place Beam knows")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE, as llm-keras")
    parser.add_argument("--limit", type=int, help="documents of each source, for a quick look")
    known, beam_arguments = parser.parse_known_args(arguments)
    try:
        run = run_file.load(known.run, known.set)
        corpus = storage.join(storage.absolute(known.output), "corpus")
        _curate_into(run, corpus, beam_arguments, known.limit)
    except LLMKerasError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's one line
        return error.exit_code
    return 0


if __name__ == "__main__":
    # By its own name: workers would look for the functions of __main__ in vain.
    sys.exit(importlib.import_module("pipelines.curate").main())
