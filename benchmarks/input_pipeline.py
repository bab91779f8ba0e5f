"""What the input pipeline delivers by itself, in tokens a second, on one core.

    .venv/bin/python benchmarks/input_pipeline.py [--rounds 7]

A corpus of packed rows is written (8 shards, 16 M tokens), then read through
`data.input_pipeline.batches` as training does: rows in their random order, every checksum and every
id checked, as `tf.data`. The process may run on one core only. A round reads for about a second;
given are medians over rounds, by the clock and by the processor's time, which does not count what
other processes take.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import interleaved

#: (T, rows of a batch)
SHAPES = ((256, 8), (256, 64), (1024, 8), (1024, 64))
SHARDS, TOKENS, VOCABULARY, DOCUMENT = 8, 2**24, 8192, 500


def write_corpus(folder: Path, length: int) -> None:
    """Random documents of `DOCUMENT` tokens on average, as rows of `length`."""
    import numpy as np

    from llm_keras.data import manifest as manifests
    from llm_keras.data import packing
    from llm_keras.data.record_codec import RecordLayout

    layout, random = RecordLayout(length, VOCABULARY), np.random.default_rng(0)
    shards: list[dict[str, Any]] = []
    for number in range(SHARDS):
        sizes = random.integers(2, 2 * DOCUMENT, TOKENS // SHARDS // DOCUMENT)
        documents = [random.integers(4, VOCABULARY, size) for size in sizes]
        content = b"".join(map(layout.encode, packing.pack(documents, length)))
        name = f"train-{number:05d}-of-{SHARDS:05d}.tfrecord"
        (folder / name).write_bytes(content)
        digest, rows = hashlib.sha256(content).hexdigest(), len(content) // layout.record_bytes
        shards.append(
            {"file": name, "split": "train", "rows": rows, "bytes": len(content), "sha256": digest}
        )
    counts = {"tokens": TOKENS, "targets": TOKENS, "documents": 1, "bytes": 1, "bytes_per_token": 1}
    manifest = {
        "sequence_length": length,
        "vocabulary_size": VOCABULARY,
        "columns": layout.columns,
        "record_bytes": layout.record_bytes,
        "tokenizer_sha256": "0" * 64,
        "settings_hash": "0" * 64,
        "splits": {"train": {"rows": sum(shard["rows"] for shard in shards), **counts}},
        "shards": shards,
        "sources": {},
    }
    manifests.write(manifests.Manifest.model_validate(manifest), folder)


def read(folder: Path, size: int, seconds: float) -> tuple[float, float]:
    """Tokens a second by the clock, and by the processor's time."""
    from llm_keras.data import input_pipeline
    from llm_keras.data.records import RecordStore

    store = RecordStore(folder, "train")
    batches = iter(input_pipeline.batches(store, global_batch_size=size, seed=0))
    for _ in range(8):
        next(batches)
    count, clock, processor = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - clock < seconds:
        next(batches)
        count += size * store.sequence_length
    return count / (time.perf_counter() - clock), count / (time.process_time() - processor)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(interleaved.versions("tensorflow", "numpy"), f"- {asked.rounds} rounds, one core\n")
    print("| T | rows a batch | tokens/s | min - max | tokens a second of processor time |")
    print("|---|---|---|---|---|")
    for length, size in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            write_corpus(Path(folder), length)
            rounds = [read(Path(folder), size, asked.seconds) for _ in range(asked.rounds)]
        clock, processor = zip(*rounds, strict=True)
        print(
            f"| {length} | {size} | {statistics.median(clock):,.0f} | {min(clock):,.0f} -"
            f" {max(clock):,.0f} | {statistics.median(processor):,.0f} |"
        )


if __name__ == "__main__":
    main()
