r"""Stage `curate`: sources -> documents that are good, used once, clean, and allowed.

    read: files -> screened, judged by the rules -> parts
    urls, duplicates, lines, bands, near: which of them go, without moving a text
    finish: decontaminated, redacted, split -> documents, rejected, dead_letters, curation.json

Each step is a pipeline of its own (`pipelines/curation_steps.py`), and so the whole goes on where
it was killed. Also a Beam job: `python -m pipelines.curate --run RUN.yaml --output DIR
--runner=...`; sources and run folder must then be where all workers see them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_keras import config, run_file
from llm_keras.data import takedowns
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from pipelines import fetching, files, hub, index, mixture, outcome, storage, updating
from pipelines.counts import Counts
from pipelines.curation_steps import Earlier, curated
from pipelines.files import inputs
from pipelines.options import job_arguments, mistake_in, told
from pipelines.report import attempt_report
from pipelines.stepping import SUCCESS, Steps
from pipelines.steps.finish import FINISH
from pipelines.updating import INPUTS
from pipelines.workplace import Workplace

__all__ = ["Curation", "curate", "inputs", "main", "update"]

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
    Curation(run, str(folder.corpus.absolute()), beam_arguments, limit).whole()


def update(
    run: config.Run, folder: RunFolder, beam_arguments: Sequence[str] = (), *, replay: bool = False
) -> int:
    """Adds to the curation in `folder` what is new, complete or not at all.

    Files that are new or changed are read; documents of files that are changed or gone are
    replaced. The others stay as they are, and a copy of one of them is a duplicate.

    Args:
        run: The settings, those of the curation that is there.
        folder: Holds it.
        beam_arguments: Beam's own.
        replay: Reads instead the files again of which something could not be read.

    Returns:
        How many files were read; 0: there was nothing to do.

    Raises:
        UserError: There is no curation, or one of other settings; or as `curate`.
    """
    return Curation(run, str(folder.corpus.absolute()), beam_arguments).added(replay=replay)


@dataclass(frozen=True)
class Curation:
    """One curation of a run.

    Args:
        run: The settings.
        corpus: The folder, in any place that Beam knows.
        beam_arguments: Beam's own.
        limit: Documents of each source to read at most; None: all.
    """

    run: config.Run
    corpus: str
    beam_arguments: Sequence[str] = ()
    limit: int | None = None

    def whole(self) -> None:
        """Curates everything."""
        here, listings = self._found()
        self._perform(here, listings, files.described(self.run.corpus, listings.values()), None)

    def added(self, *, replay: bool) -> int:
        """Curates what is new, or what was dead; returns how many files that is."""
        here, listings = self._found()
        read = files.described(self.run.corpus, listings.values())
        earlier = updating.earlier(self.run, self.corpus, read, replay=replay)
        if not earlier.again:
            return 0
        chosen = {
            name: listing._replace(
                files=[file for file in listing.files if updating.name_of(file) in earlier.again]
            )
            for name, listing in listings.items()
        }
        self._perform(here, chosen, read, earlier)
        return sum(len(listing.files) for listing in chosen.values())

    def _found(self) -> tuple[config.Run, dict[str, files.Listing]]:
        """The run with sources that are on this machine or where Beam reads, and their files."""
        here = hub.with_copies(self.run, self.corpus)
        return here, {source.name: files.find(source) for source in here.corpus.sources}

    def _perform(
        self,
        here: config.Run,
        listings: Mapping[str, files.Listing],
        read: Sequence[files.Input],
        earlier: Earlier | None,
    ) -> None:
        deduplicate = self.run.corpus.deduplicate
        remembered = None if deduplicate.index is None else storage.absolute(deduplicate.index)
        if remembered is not None:
            index.check(remembered, deduplicate.near)
        with _staging(self.corpus) as staging:
            place = Workplace(
                here,
                staging,
                known=index.sources_in(remembered),
                snapshot=hashlib.sha256(self.corpus.encode()).hexdigest()[:16],
                indices=() if remembered is None else (remembered,),
                taken_down=takedowns.taken_down(Path(self.corpus)),
            )
            again = None if earlier is None else sorted(earlier.again)
            fingerprint = [read, index.names(remembered, place.snapshot), self.limit, again]
            fetched = [
                fetching.fetched(source, listings[source.name], self.corpus)
                for source in self.run.corpus.sources
            ]
            with tempfile.TemporaryDirectory(prefix="llm-keras-") as logs:
                log = Path(logs) / "workers.log"
                steps = Steps(
                    staging, fingerprint, self.run.corpus.workers, self.beam_arguments, log
                )
                found = [listing.files for listing in fetched]
                counts = curated(steps, place, found, limit=self.limit, earlier=earlier)
            ignored = {name: listing.ignored for name, listing in listings.items()}
            curation = outcome.describe(self.run, counts, ignored)
            outcome.check(self.run, curation)
            curation |= mixture.describe(self.run, curation)
            if downloads := hub.downloads(self.run, self.corpus):
                curation["downloads"] = downloads
            _publish(storage.join(staging, FINISH), self.corpus, curation, updating.listed(read))
            attempt_report(self.corpus, self.run)


@contextlib.contextmanager
def _staging(corpus: str) -> Iterator[str]:
    """A folder to work in, beside the final one.

    It is gone after success and after a mistake of the user. After anything else, such as a worker
    that was killed, the steps that are finished stay in it, and the next run goes on from there.
    """
    staging = storage.join(corpus, ".curating")
    made = _make(corpus)
    try:
        with storage.alone(corpus):
            try:
                yield staging
            except Exception as error:
                mistake = _mistake(error, corpus)
                if mistake is not None or isinstance(error, outcome.CountError):
                    storage.remove_tree(staging)
                raise mistake or error from None
            storage.remove_tree(staging)
    finally:
        with contextlib.suppress(OSError):
            for place in made:
                place.rmdir()  # empty only after a failure


def _mistake(error: Exception, corpus: str) -> UserError | None:
    """What a person can do about an error; None if it is a defect."""
    if f"[Errno {errno.ENOSPC}]" in str(error):
        return UserError(f"no space left in {corpus}; free some and run again")
    return mistake_in(error)


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


def _publish(
    finished: str, corpus: str, curation: Counts, listed: Mapping[str, Sequence[int]]
) -> None:
    """Puts the new files in the place of old ones; curation.json is there only when all are."""
    storage.remove(storage.join(finished, SUCCESS))  # stopped from here on, it is not finished
    storage.remove(storage.join(corpus, "curation.json"))
    for name in FOLDERS:
        storage.move_tree(storage.join(finished, name), storage.join(corpus, name))
    _write_json(listed, storage.join(corpus, INPUTS))
    _write_json(curation, storage.join(corpus, "curation.json"))


def _write_json(tree: Mapping[str, Any], path: str) -> None:
    storage.write(path, json.dumps(tree, indent=1, ensure_ascii=False).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the stage as a Beam job; returns the exit code."""
    parser = job_arguments("pipelines.curate")
    parser.add_argument("--limit", type=int, help="documents of each source, for a quick look")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--incremental", action="store_true", help="add what is new or changed")
    how.add_argument("--replay", action="store_true", help="read files with dead letters again")
    known, beam_arguments = parser.parse_known_args(arguments)
    try:
        run = run_file.load(known.run, known.set)
        corpus = storage.join(storage.absolute(known.output), "corpus")
        curation = Curation(run, corpus, beam_arguments, known.limit)
        if known.replay or known.incremental:
            curation.added(replay=known.replay)
        else:
            curation.whole()
    except LLMKerasError as error:
        return told(error)
    return 0


if __name__ == "__main__":
    # By its own name: workers would look for the functions of __main__ in vain.
    sys.exit(importlib.import_module("pipelines.curate").main())
