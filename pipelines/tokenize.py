r"""Stage `tokenize`: curated documents -> packed rows of constant size, and their manifest.

    document files -> read -> encode -> by shard: sort, pack, write -> manifest.json

Also a Beam job of its own: `python -m pipelines.tokenize --run RUN.yaml --output DIR --runner=...`.
Workers need sentencepiece and NumPy, not TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from llm_keras import config, run_file
from llm_keras.data import manifest as manifests
from llm_keras.data.document import SPLITS, Split, document_files, read_documents
from llm_keras.data.manifest import Manifest
from llm_keras.data.record_codec import RecordLayout
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer
from pipelines.counts import Counts, merge
from pipelines.options import run_pipeline
from pipelines.write_records import Tokenized, WriteRecords, hash_of, shard_of


def tokenize(run: config.Run, folder: RunFolder, beam_arguments: Sequence[str] = ()) -> None:
    """Tokenizes and packs the curated documents of `folder`, complete or not at all.

    The same documents, tokenizer and settings give the same bytes, whatever the number of workers
    and the runner.

    Args:
        run: The settings.
        folder: An earlier result in it is replaced when the new one is complete.
        beam_arguments: Beam's own, such as `--runner=FlinkRunner`; local without.

    Raises:
        UserError: No documents or no tokenizer, a damaged file, a split too small for one row,
            or another process that writes here.
    """
    tokenizer = SentencePieceTokenizer(folder.tokenizer_model)
    files = _find(folder)
    staging = folder.corpus.absolute() / ".tokenizing"
    with _only_writer(folder.corpus):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            counts = _run_pipeline(run, tokenizer, files, staging, beam_arguments)
            manifest = _manifest(run, tokenizer, counts)
            _check_outcome(manifest)
            _publish(staging, folder, manifest)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _find(folder: RunFolder) -> list[tuple[Split, str]]:
    found: list[tuple[Split, str]] = []
    for split in SPLITS:
        files = document_files(folder.documents, split)
        if not files:
            raise UserError(
                f"{folder.documents}: no {split} documents; run `llm-keras curate` first"
            )
        found += [(split, str(file.absolute())) for file in files]
    return found


@contextlib.contextmanager
def _only_writer(corpus: Path) -> Iterator[None]:
    """Holds the corpus folder for this process; the system frees it however the process ends."""
    handle = os.open(corpus, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{corpus}: another process is tokenizing here; wait for it, or take another"
                " --output"
            ) from None
        yield
    finally:
        os.close(handle)


def _run_pipeline(
    run: config.Run,
    tokenizer: SentencePieceTokenizer,
    files: Sequence[tuple[Split, str]],
    staging: Path,
    arguments: Sequence[str],
) -> Counts:
    layout = RecordLayout(run.records.sequence_length, tokenizer.vocabulary_size)
    counts, log = staging / "counts.json", staging / "workers.log"
    with _user_errors(), run_pipeline(run.records.workers, arguments, log) as pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create(list(files))
            | "Spread" >> beam.Reshuffle()
            | "Encode" >> beam.ParDo(_Encode(tokenizer, layout, run.seed, run.records.shards))
            | "WriteRecords" >> WriteRecords(run.records.shards, layout, staging)
            | "Add" >> beam.CombineGlobally(merge)
            | "WriteCounts" >> beam.Map(lambda total: counts.write_text(json.dumps(total)))
        )
    return dict(json.loads(counts.read_text()))


class _Encode(beam.DoFn):
    """Files of documents -> pairs (shard file, Tokenized)."""

    def __init__(
        self, tokenizer: SentencePieceTokenizer, layout: RecordLayout, seed: int, shards: int
    ) -> None:
        self.tokenizer, self.seed, self.shards = tokenizer, seed, shards
        self.column = layout.dtype["tokens"].base

    def process(self, element: tuple[Split, str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        split, path = element
        bos, eos = [self.tokenizer.bos_id], [self.tokenizer.eos_id]
        try:
            for document in read_documents(Path(path)):
                ids = np.array([*bos, *self.tokenizer.encode(document.text), *eos], self.column)
                yield (
                    shard_of(document.id, split, self.shards),
                    tuple(
                        Tokenized(
                            place=hash_of("order", str(self.seed), document.id),
                            id=document.id,
                            source=document.source,
                            text_bytes=len(document.text.encode("utf-8", "replace")),
                            ids=ids.tobytes(),
                        )
                    ),
                )
        except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
            raise UserError(
                f"{path}: damaged ({type(error).__name__}); run `llm-keras curate` again"
            ) from None


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """Takes a worker's UserError out of the report that Beam makes of it."""
    try:
        yield
    except Exception as error:
        found = re.search(r"UserError: (.*?)(?: \[while running|$)", str(error), re.MULTILINE)
        if found:
            raise UserError(found[1]) from None
        raise


def _manifest(run: config.Run, tokenizer: SentencePieceTokenizer, counts: Counts) -> Manifest:
    layout = RecordLayout(run.records.sequence_length, tokenizer.vocabulary_size)
    settings = {
        "seed": run.seed,
        "tokenizer": tokenizer.sha256,
        **run.records.model_dump(mode="json", exclude={"workers"}),
    }
    shards = counts["shards"]
    return Manifest.model_validate(
        {
            "sequence_length": run.records.sequence_length,
            "vocabulary_size": tokenizer.vocabulary_size,
            "columns": layout.columns,
            "record_bytes": layout.record_bytes,
            "tokenizer_sha256": tokenizer.sha256,
            "settings_hash": manifests.settings_hash(settings),
            "splits": {split: _split(split, counts) for split in SPLITS},
            "shards": [
                {"file": name, "split": name.partition("-")[0], **shards[name]}
                for name in sorted(shards)
            ],
            "sources": counts.get("sources", {}),
        }
    )


def _split(split: Split, counts: Counts) -> dict[str, Any]:
    nothing = {"tokens": 0, "documents": 0, "bytes": 0}
    total = nothing | counts.get("splits", {}).get(split, {})
    of_split = [shard for name, shard in counts["shards"].items() if name.startswith(f"{split}-")]
    text_tokens = total["tokens"] - 2 * total["documents"]
    return {
        **total,
        "rows": sum(shard["rows"] for shard in of_split),
        "targets": total["tokens"] - total["documents"],
        "bytes_per_token": round(total["bytes"] / max(1, text_tokens), 4),
    }


def _check_outcome(manifest: Manifest) -> None:
    for split, counts in manifest.splits.items():
        if counts.tokens <= manifest.sequence_length:
            raise UserError(
                f"corpus: the {split} split has {counts.tokens} tokens, but one row of"
                f" records.sequence_length {manifest.sequence_length} takes"
                f" {manifest.sequence_length + 1}; add documents, change"
                " corpus.validation_fraction, or lower records.sequence_length"
            )


def _publish(staging: Path, folder: RunFolder, manifest: Manifest) -> None:
    """Puts the new shards in the place of all old ones; with the manifest they are complete."""
    folder.manifest.unlink(missing_ok=True)
    for split in SPLITS:
        for stale in folder.corpus.glob(f"{split}-*.tfrecord"):
            stale.unlink()
    for shard in manifest.shards:
        (staging / shard.file).replace(folder.corpus / shard.file)
    manifests.write(manifest, folder.corpus)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the stage as a Beam job; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.tokenize", description="Other arguments are Beam's."
    )
    parser.add_argument("--run", required=True, type=Path, help="the run file")
    parser.add_argument("--output", required=True, type=Path, help="the run folder")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE, as llm-keras")
    known, beam_arguments = parser.parse_known_args(arguments)
    try:
        run = run_file.load(known.run, known.set)
        tokenize(run, RunFolder(known.output), beam_arguments)
    except LLMKerasError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's one line
        return error.exit_code
    return 0


if __name__ == "__main__":
    # By its own name: workers would look for the functions of __main__ in vain.
    sys.exit(importlib.import_module("pipelines.tokenize").main())
