r"""Stage `curate`: sources -> deduplicated, filtered documents, split and counted.

    files -> read -> rules -> by shard: duplicates, split, write
                 \-> dead letters             \-> rejects
    counts of every step -> curation.json

Also a Beam job of its own: `python -m pipelines.curate --run RUN.yaml --output DIR --runner=...`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from llm_keras import config, run_file
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from pipelines import files
from pipelines.apply_rules import ApplyRules
from pipelines.counts import Counts, check_balance, merge
from pipelines.options import pipeline_options
from pipelines.read import Read
from pipelines.write import FIRST_DEAD, WriteDeadLetters, WriteDocuments

FORMAT = 1


def curate(run: config.Run, folder: RunFolder, beam_arguments: Sequence[str] = ()) -> None:
    """Curates the corpus of `run` into `folder`, complete or not at all.

    Args:
        run: The settings.
        folder: An earlier curation in it is replaced when the new one is complete.
        beam_arguments: Beam's own, such as `--runner=FlinkRunner`; local without.

    Raises:
        UserError: A source is missing or unreadable, or nothing is left to train or validate on.
    """
    found = _find(run)
    staging = folder.corpus.absolute() / ".curating"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _run_pipeline(run, found, staging, beam_arguments)
        curation = _curation(run, json.loads((staging / "counts.json").read_text()))
        check_balance(curation["sources"])
        _check_outcome(run, curation)
        _publish(staging, folder, curation)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.corpus.rmdir()  # only if this stage made it and failed


def inputs(run: config.Run) -> list[tuple[str, int, int]]:
    """The files that `curate` would read: name, bytes, time of last change in ns; sorted.

    Raises:
        UserError: A source is missing or has no files.
    """
    return sorted(
        (f"{file.source}/{file.locator}", file.bytes, file.modified_ns) for file in _find(run)
    )


def _find(run: config.Run) -> list[files.SourceFile]:
    return [file for source in run.corpus.sources for file in files.find(source)]


def _run_pipeline(
    run: config.Run, found: Sequence[files.SourceFile], staging: Path, arguments: Sequence[str]
) -> None:
    options = pipeline_options(run.corpus.workers, arguments)
    with beam.Pipeline(options=options) as pipeline:
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
            | "Add" >> beam.CombineGlobally(merge)
            | "WriteCounts" >> beam.Map(_write_counts, staging / "counts.json")
        )


def _write_counts(counts: Counts, path: Path) -> None:
    path.write_text(json.dumps(counts))


def _curation(run: config.Run, counts: Counts) -> dict[str, Any]:
    """The content of curation.json."""
    nothing = {"in": 0, "kept": 0, "dropped": {}, "dead": 0, "bytes_in": 0, "bytes_kept": 0}
    return {
        "format": FORMAT,
        "sources": {
            source.name: nothing | counts["sources"].get(source.name, {})
            for source in run.corpus.sources
        },
        "splits": counts["splits"],
        "files": counts["files"],
        "first_dead": dict(sorted(counts.get("first_dead", {}).items())[:FIRST_DEAD]),
        "settings_hash": _settings_hash(run),
    }


def _settings_hash(run: config.Run) -> str:
    """Of everything that decides the output; the number of workers does not."""
    settings = run.corpus.model_dump(mode="json", exclude={"workers"}) | {"seed": run.seed}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _check_outcome(run: config.Run, curation: dict[str, Any]) -> None:
    """Refuses a corpus that cannot be used, with what to do about it."""
    sources = curation["sources"]
    first = "; ".join(f"{place}: {error}" for place, error in curation["first_dead"].items())
    for name, counts in sources.items():
        if counts["in"] == counts["dead"]:
            raise UserError(
                f"corpus source {name}: none of its {counts['in']} documents could be read"
                f" ({first or 'its files are empty'}); correct its files, kind or encoding"
            )
    seen = sum(counts["in"] for counts in sources.values())
    dead = sum(counts["dead"] for counts in sources.values())
    if dead > run.corpus.maximum_dead_fraction * seen:
        raise UserError(
            f"corpus: {dead} of {seen} documents ({dead / seen:.1%}) could not be read, more than"
            f" corpus.maximum_dead_fraction {run.corpus.maximum_dead_fraction:.1%}"
            f" (first: {first}); correct them, or raise that fraction"
        )
    kept = sum(counts["kept"] for counts in sources.values())
    if not kept:
        dropped = merge(counts["dropped"] for counts in sources.values())
        reasons = ", ".join(f"{reason} {number}" for reason, number in dropped.items())
        raise UserError(
            f"corpus: all {seen - dead} documents were dropped ({reasons});"
            " loosen corpus.language, corpus.length or corpus.repetition"
        )
    for name, part in curation["splits"].items():
        if not part["documents"]:
            raise UserError(
                f"corpus: none of the {kept} documents fell into the {name} split at"
                f" corpus.validation_fraction {run.corpus.validation_fraction:g} and seed"
                f" {run.seed}; change one of them, or add documents"
            )


def _publish(staging: Path, folder: RunFolder, curation: dict[str, Any]) -> None:
    """Puts the new files in the place of old ones; curation.json is there only when all are."""
    folder.curation.unlink(missing_ok=True)
    for place in (folder.documents, folder.rejected, folder.dead_letters):
        shutil.rmtree(place, ignore_errors=True)
        (staging / place.name).replace(place)
    unfinished = staging / folder.curation.name
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(curation, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder.curation)


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
        run = run_file.load(known.run, known.set)
        curate(run, RunFolder(known.output), beam_arguments)
    except LLMKerasError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's one line
        return error.exit_code
    return 0


if __name__ == "__main__":
    # By its own name: workers would look for the functions of __main__ in vain.
    sys.exit(importlib.import_module("pipelines.curate").main())
