r"""Stage `tokenize`: curated documents -> rows of constant size, their manifest and their index.

    document files -> read -> encode -> pieces on disk -> by shard: sort, lay into rows, write
                                    \-> dropped, counted                  \-> manifest.json

Also a Beam job of its own: `python -m pipelines.tokenize --run RUN.yaml --output DIR --runner=...`.
Workers need the tokenizer and NumPy, not TensorFlow.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_keras import config, run_file, tokenizers
from llm_keras.data import manifest as manifests
from llm_keras.data.document import SPLITS, Split, document_files
from llm_keras.data.manifest import Manifest
from llm_keras.errors import LLMKerasError, UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import sample
from pipelines import corpus_manifest, document_index, storage
from pipelines.counts import Counts, merge
from pipelines.encode import Encode, Settings
from pipelines.options import job_arguments, mistake_in, run_pipeline, told
from pipelines.quiet import beam
from pipelines.row_format import RowFormat
from pipelines.write_records import WriteRecords


def tokenize(run: config.Run, folder: RunFolder, beam_arguments: Sequence[str] = ()) -> None:
    """Tokenizes the curated documents of `folder` into rows, complete or not at all.

    The same documents, tokenizer and settings give the same bytes, whatever the number of workers
    and the runner. A worker holds the ids of one shard at a time; between encoding and packing all
    ids lie on the disk once more.

    Args:
        run: The settings.
        folder: An earlier result in it is replaced when the new one is complete.
        beam_arguments: Beam's own, such as `--runner=FlinkRunner`; local without.

    Raises:
        UserError: No documents or no tokenizer, a damaged file, a split too small for one row,
            or another process that writes here.
    """
    _tokenize_into(run, str(folder.root.absolute()), beam_arguments)


def _tokenize_into(run: config.Run, root: str, beam_arguments: Sequence[str]) -> None:
    model, corpus = _tokenizer_model(root), storage.join(root, "corpus")
    tokenizer = tokenizers.load(model if not storage.is_remote(model) else storage.read(model))
    rows = RowFormat.of(run, tokenizer)
    files = {split: found for split in SPLITS if (found := _find(corpus, split))}
    curation = _curation(corpus)
    with working_folder(corpus) as staging:
        settings = Settings(
            tokenizer=model,
            rows=rows,
            shards=run.records.shards,
            seed=run.seed,
            epochs={name: part["epochs"] for name, part in curation.get("mixture", {}).items()},
            corpus=corpus,
            folder=storage.join(staging, "encoded"),
        )
        counts = _run_pipeline(run, settings, files, staging, beam_arguments)
        hash_ = curation.get("settings_hash")
        manifest = corpus_manifest.describe(run, tokenizer, rows, list(files), counts, hash_)
        corpus_manifest.check(manifest)
        _publish(staging, corpus, manifest)


def _tokenizer_model(root: str) -> str:
    """The tokenizer's file, in any place."""
    if not storage.is_remote(root):
        return str(RunFolder(Path(root)).tokenizer_model)
    imported = storage.join(root, "tokenizer", "tokenizer.json")
    if storage.exists(imported):
        return imported
    return storage.join(root, "tokenizer", "tokenizer.model")


def _find(corpus: str, split: Split) -> list[str]:
    """The document files of a split; only a test split may have none."""
    documents = storage.join(corpus, "documents")
    if storage.is_remote(corpus):
        pattern = storage.join(documents, f"{split}-*-of-*.jsonl.gz")
        files = sorted(each.path for each in storage.listing(pattern))
    else:
        files = [str(path) for path in document_files(Path(documents), split)]
    if not files and split != "test":
        raise UserError(f"{documents}: no {split} documents; run `llm-keras curate` first")
    if files:
        sample.check_complete([Path(path) for path in files])
    return files


def _curation(corpus: str) -> Mapping[str, Any]:
    """What the curation says of its documents; nothing where they came another way."""
    path = storage.join(corpus, "curation.json")
    try:
        return dict(json.loads(storage.read(path))) if storage.exists(path) else {}
    except ValueError:
        raise UserError(f"{path}: damaged; run `llm-keras curate` again") from None


@contextlib.contextmanager
def working_folder(corpus: str) -> Iterator[str]:
    """A folder to work in, for this process alone; nothing of it stays."""
    staging = storage.join(corpus, ".tokenizing")
    with storage.alone(corpus):
        try:
            storage.remove_tree(staging)
            if not storage.is_remote(staging):
                Path(staging).mkdir()
            yield staging
            storage.remove_tree(staging)
        except Exception as error:
            storage.remove_tree(staging)
            if (mistake := _mistake(error, corpus)) is not None:
                raise mistake from None
            raise


def _mistake(error: Exception, corpus: str) -> UserError | None:
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
    settings: Settings,
    files: Mapping[Split, Sequence[str]],
    staging: str,
    arguments: Sequence[str],
) -> Counts:
    counts = storage.join(staging, "counts.json")
    first = [(split, found[0], len(found)) for split, found in files.items()]
    with (
        tempfile.TemporaryDirectory(prefix="llm-keras-") as logs,
        run_pipeline(run.records.workers, arguments, Path(logs) / "workers.log") as pipeline,
    ):
        encoded = (
            pipeline
            | "Splits" >> beam.Create(first)
            | "Files" >> beam.FlatMap(_files)
            | "Spread" >> beam.Reshuffle()
            | "Encode" >> beam.ParDo(Encode(settings)).with_outputs("dropped", main="pieces")
        )
        written = encoded.pieces | "WriteRecords" >> WriteRecords(
            list(files), settings.rows, settings.shards, staging
        )
        _ = (
            (written, encoded.dropped)
            | "AllCounts" >> beam.Flatten()
            | "Together" >> beam.Map(lambda facts: (None, facts))
            | "Add" >> beam.CombinePerKey(merge)
            | "WriteCounts" >> beam.MapTuple(lambda _, facts: _write_json(facts, counts))
        )
    return dict(json.loads(storage.read(counts)))


def _files(element: tuple[Split, str, int]) -> Iterator[tuple[Split, str]]:
    """The files of a split, from the first and their number.

    Of millions of files the names need not travel with the pipeline.
    """
    split, first, count = element
    folder = first.rpartition("/")[0]
    for number in range(count):
        yield split, storage.join(folder, f"{split}-{number:05d}-of-{count:05d}.jsonl.gz")


def _write_json(content: Counts, path: str) -> None:
    storage.write(path, json.dumps(content).encode())


def _publish(staging: str, corpus: str, manifest: Manifest) -> None:
    """Puts the new shards in the place of all old ones; with the manifest they are complete."""
    name = manifests.FILE_NAME
    content = manifests.encode(manifest)
    # Before anything of the old is lost: the disk may be full.
    storage.write(storage.join(staging, name), content)
    storage.remove(storage.join(corpus, name))
    for path in _shards_in(corpus):
        storage.remove(path)
    for file in [shard.file for shard in manifest.shards]:
        storage.move(storage.join(staging, file), storage.join(corpus, file))
    index = document_index.FOLDER
    storage.move_tree(storage.join(staging, index), storage.join(corpus, index))
    storage.move(storage.join(staging, name), storage.join(corpus, name))


def _shards_in(corpus: str) -> list[str]:
    if storage.is_remote(corpus):
        return [each.path for each in storage.listing(storage.join(corpus, "*.tfrecord"))]
    return [str(path) for path in Path(corpus).glob("*.tfrecord")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the stage as a Beam job; returns the exit code."""
    known, beam_arguments = job_arguments("pipelines.tokenize").parse_known_args(arguments)
    try:
        run = run_file.load(known.run, known.set)
        _tokenize_into(run, storage.absolute(known.output), beam_arguments)
    except LLMKerasError as error:
        return told(error)
    return 0


if __name__ == "__main__":
    # By its own name: workers would look for the functions of __main__ in vain.
    sys.exit(importlib.import_module("pipelines.tokenize").main())
