r"""Stage `tokenize`: curated documents -> rows of constant size, and their manifest.

    document files -> read -> encode -> by shard: sort, pack or fill, write -> manifest.json
                                    \-> pairs too long for any row, counted

Also a Beam job of its own: `python -m pipelines.tokenize --run RUN.yaml --output DIR --runner=...`.
Workers need the tokenizer and NumPy, not TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import importlib
import json
import os
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras import config, run_file, tokenizers
from llm_keras.data import manifest as manifests
from llm_keras.data import pairs
from llm_keras.data.document import SPLITS, Document, Split, document_files, read_documents
from llm_keras.data.manifest import Manifest
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import Tokenizer, sample
from pipelines import corpus_manifest, row_format
from pipelines.counts import Counts, merge
from pipelines.options import mistake_in, run_pipeline
from pipelines.quiet import beam
from pipelines.row_format import RowFormat, shard_files
from pipelines.write_records import Tokenized, WriteRecords, hash_of, shard_of

#: The reason under which pairs are dropped that fit no bucket.
TOO_LONG = "too_long"


def tokenize(run: config.Run, folder: RunFolder, beam_arguments: Sequence[str] = ()) -> None:
    """Tokenizes the curated documents of `folder` into rows, complete or not at all.

    The same documents, tokenizer and settings give the same bytes, whatever the number of workers
    and the runner. The local runner groups in memory, so that it holds the ids of all documents at
    once, two or four bytes each; a corpus that does not fit goes to another runner.

    Args:
        run: The settings.
        folder: An earlier result in it is replaced when the new one is complete.
        beam_arguments: Beam's own, such as `--runner=FlinkRunner`; local without.

    Raises:
        UserError: No documents or no tokenizer, a damaged file, a split too small for one row,
            or another process that writes here.
    """
    tokenizer = tokenizers.load(folder.tokenizer_model)
    rows = RowFormat.of(run, tokenizer)
    files = [(split, str(file)) for split in SPLITS for file in _find(folder, split)]
    with _staging(folder.corpus) as staging:
        counts = _run_pipeline(run, tokenizer, rows, files, staging, beam_arguments)
        manifest = corpus_manifest.describe(run, tokenizer, rows, counts)
        corpus_manifest.check(manifest)
        _publish(staging, folder, manifest)


def _find(folder: RunFolder, split: Split) -> list[Path]:
    files = document_files(folder.documents.absolute(), split)
    if not files:
        raise UserError(f"{folder.documents}: no {split} documents; run `llm-keras curate` first")
    sample.check_complete(files)
    return files


@contextlib.contextmanager
def _staging(corpus: Path) -> Iterator[Path]:
    """A folder to work in, for this process alone; nothing of it stays.

    The system frees the lock however the process ends.
    """
    staging = corpus.absolute() / ".tokenizing"
    handle = os.open(corpus, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        yield staging
        shutil.rmtree(staging)
    except BlockingIOError:
        raise UserError(
            f"{corpus}: another process is tokenizing here; wait for it, or take another --output"
        ) from None
    except Exception as error:
        shutil.rmtree(staging, ignore_errors=True)
        if (mistake := _mistake(error, corpus)) is not None:
            raise mistake from None
        raise
    finally:
        os.close(handle)


def _mistake(error: Exception, corpus: Path) -> UserError | None:
    """What a person can do about an error; None if it is a defect."""
    if (mistake := mistake_in(error)) is not None:
        return mistake
    if f"[Errno {errno.ENOSPC}]" in str(error):
        return UserError(f"{corpus}: no space left; free some and run again")
    if isinstance(error, OSError) and error.strerror:
        return UserError(f"{corpus}: cannot be written: {error.strerror}; take another --output")
    return None


def _run_pipeline(
    run: config.Run,
    tokenizer: Tokenizer,
    rows: RowFormat,
    files: Sequence[tuple[Split, str]],
    staging: Path,
    arguments: Sequence[str],
) -> Counts:
    encode = _Encode(tokenizer.model, rows, run.seed, run.records.shards)
    counts, log = staging / "counts.json", staging / "workers.log"
    with run_pipeline(run.records.workers, arguments, log) as pipeline:
        encoded = (
            pipeline
            | "Files" >> beam.Create(list(files))
            | "Spread" >> beam.Reshuffle()
            | "Encode" >> beam.ParDo(encode).with_outputs("dropped", main="tokenized")
        )
        written = encoded.tokenized | "WriteRecords" >> WriteRecords(
            rows.files(run.records.shards), staging
        )
        _ = (
            (written, encoded.dropped)
            | "AllCounts" >> beam.Flatten()
            | "Together" >> beam.Map(lambda facts: (None, facts))
            | "Add" >> beam.CombinePerKey(merge)
            | "WriteCounts" >> beam.MapTuple(lambda _, facts: _write_json(facts, counts))
        )
    return dict(json.loads(counts.read_text()))


def _write_json(content: Counts, path: Path) -> None:
    path.write_text(json.dumps(content))


class _Encode(beam.DoFn):
    """Files of documents -> pairs (shard file, Tokenized), and counts of what is `dropped`."""

    def __init__(self, model: bytes, rows: RowFormat, seed: int, shards: int) -> None:
        self.model, self.rows, self.seed, self.shards = model, rows, seed, shards
        self.column = rows.layout().dtype["tokens"].base

    def setup(self) -> None:
        """Reads the tokenizer in the worker: whatever it is made of need not travel."""
        self.tokenizer = tokenizers.load(self.model)

    def process(self, element: tuple[Split, str]) -> Iterator[Any]:
        split, path = element
        try:
            for document in read_documents(Path(path)):
                yield self._encode(document, split)
        except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
            raise UserError(
                f"{path}: damaged ({type(error).__name__}); run `llm-keras curate` again"
            ) from None

    def _encode(self, document: Document, split: Split) -> Any:
        ids, given = row_format.encode(document, self.tokenizer, self.rows.kind)
        bucket = None
        if self.rows.kind == "pairs":
            bucket = pairs.bucket_of(given, len(ids) - given, self.rows.buckets)
            if bucket is None:
                counts = {"splits": {split: {"dropped": {TOO_LONG: 1}}}}
                return beam.pvalue.TaggedOutput("dropped", counts)
        tokenized = Tokenized(
            place=hash_of("order", str(self.seed), document.id),
            id=document.id,
            source=document.source,
            text_bytes=row_format.text_bytes(document),
            given=given,
            ids=np.array(ids, self.column).tobytes(),
        )
        file = shard_of(document.id, shard_files(split, self.shards, bucket))
        return file, tuple(tokenized)


def _publish(staging: Path, folder: RunFolder, manifest: Manifest) -> None:
    """Puts the new shards in the place of all old ones; with the manifest they are complete."""
    manifests.write(manifest, staging)  # before anything of the old is lost: the disk may be full
    folder.manifest.unlink(missing_ok=True)
    for split in SPLITS:
        for stale in folder.corpus.glob(f"{split}-*.tfrecord"):
            stale.unlink()
    for shard in manifest.shards:
        (staging / shard.file).replace(folder.corpus / shard.file)
    (staging / folder.manifest.name).replace(folder.manifest)


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
