r"""Stage `curate`: sources -> deduplicated, filtered documents, split and counted.

    files -> read -> rules -> by shard: drop duplicates, split, write
                 \-> dead letters                    \-> rejects
    counts of every step -> curation.json

Also a Beam job of its own: `python -m pipelines.curate --run RUN.yaml --output DIR --runner=...`;
sources and run folder must then be where all workers see them.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_keras import config, run_file
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from pipelines import files, outcome
from pipelines.apply_rules import ApplyRules
from pipelines.counts import Counts, merge
from pipelines.files import inputs
from pipelines.options import mistake_in, run_pipeline
from pipelines.quiet import beam
from pipelines.read import Read
from pipelines.write import WriteDeadLetters, WriteDocuments

__all__ = ["curate", "inputs", "main"]


def curate(run: config.Run, folder: RunFolder, beam_arguments: Sequence[str] = ()) -> None:
    """Curates the corpus of `run` into `folder`, complete or not at all.

    The local runner groups in memory, so that it holds all texts at once; a corpus that does not
    fit goes to another runner.

    Args:
        run: The settings.
        folder: An earlier curation in it is replaced when the new one is complete.
        beam_arguments: Beam's own, such as `--runner=FlinkRunner`; local without.

    Raises:
        UserError: A source is missing or unreadable, or nothing is left to train or validate on.
    """
    listings = {source.name: files.find(source) for source in run.corpus.sources}
    with _staging(folder) as staging:
        found = [file for listing in listings.values() for file in listing.files]
        _run_pipeline(run, found, staging, beam_arguments)
        counts = json.loads((staging / "counts.json").read_text(encoding="utf-8"))
        ignored = {name: listing.ignored for name, listing in listings.items()}
        curation = outcome.describe(run, counts, ignored)
        outcome.check(run, curation)
        _publish(staging, folder, curation)


def _run_pipeline(
    run: config.Run, found: Sequence[files.SourceFile], staging: Path, arguments: Sequence[str]
) -> None:
    with run_pipeline(run.corpus.workers, arguments, staging / "workers.log") as pipeline:
        paths = pipeline | "Files" >> beam.Create([tuple(file) for file in found])
        read = paths | "Read" >> Read(run.corpus.sources)
        judged = read.documents | "ApplyRules" >> ApplyRules(run.corpus)
        written = judged.judged | "WriteDocuments" >> WriteDocuments(run, staging)
        dead = (
            (read.dead, judged.dead)
            | "AllDead" >> beam.Flatten()
            | "WriteDeadLetters" >> WriteDeadLetters(run.corpus.shards, staging)
        )
        _ = (
            (read.counts, written, dead)
            | "AllCounts" >> beam.Flatten()
            | "Together" >> beam.Map(lambda counts: (None, counts))
            | "Add" >> beam.CombinePerKey(merge)
            | "WriteCounts"
            >> beam.MapTuple(lambda _, counts: _write_json(counts, staging / "counts.json"))
        )


@contextlib.contextmanager
def _staging(folder: RunFolder) -> Iterator[Path]:
    """A folder to work in, beside the final one; nothing of it, or of a failure, stays."""
    staging = folder.corpus.absolute() / ".curating"
    made = [place for place in (staging.parent, staging.parent.parent) if not place.exists()]
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"{folder.corpus}: cannot be written: {error.strerror}; choose another output folder"
        ) from None
    try:
        yield staging
    except Exception as error:
        if f"[Errno {errno.ENOSPC}]" in str(error):
            raise UserError(f"no space left in {folder.corpus}; free some and run again") from None
        if (mistake := mistake_in(error)) is not None:
            raise mistake from None
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):
            for place in made:
                place.rmdir()  # empty only after a failure


def _publish(staging: Path, folder: RunFolder, curation: Counts) -> None:
    """Puts the new files in the place of old ones; curation.json is there only when all are."""
    folder.curation.unlink(missing_ok=True)
    for place in (folder.documents, folder.rejected, folder.dead_letters):
        shutil.rmtree(place, ignore_errors=True)
        (staging / place.name).replace(place)
    unfinished = staging / folder.curation.name
    _write_json(curation, unfinished)
    unfinished.replace(folder.curation)


def _write_json(tree: dict[str, Any], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(tree, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the stage as a Beam job; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.curate", description="Other arguments are Beam's."
    )
    parser.add_argument("--run", required=True, type=Path, help="the run file")
    parser.add_argument("--output", required=True, type=Path, help="the run folder")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE, as llm-keras")
    known, beam_arguments = parser.parse_known_args(arguments)
    try:
        curate(run_file.load(known.run, known.set), RunFolder(known.output), beam_arguments)
    except LLMKerasError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's one line
        return error.exit_code
    return 0


if __name__ == "__main__":
    # By its own name: workers would look for the functions of __main__ in vain.
    sys.exit(importlib.import_module("pipelines.curate").main())
