"""What tokenization costs: CPU time, memory, padding.

    .venv/bin/python benchmarks/tokenization.py [--megabytes 100] [--shards 4]

Curated documents of this size are encoded with a vocabulary of 8,000 and laid into rows of 1,024
tokens, once as a stream and once by best fit, each in a process of its own with one worker. Prints
MB and tokens a CPU second, the peak of the process as the kernel counts it, the ids of the largest
shard for comparison, and the share of padding. A size is that of the UTF-8 texts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

from curation import documents

from llm_keras.config import Run
from llm_keras.data import manifest as manifests
from llm_keras.data.document import Document, write_json_lines
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import train_tokenizer
from pipelines.tokenize import tokenize

FILES = 8


def settings(packing: str, shards: int) -> Run:
    """A run for these documents."""
    model = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16, "num_query_heads": 2}
    return Run.model_validate(
        {
            "corpus": {"sources": [{"name": "s", "kind": "text", "path": "nowhere"}]},
            "tokenizer": {"vocabulary_size": 8000, "sample_bytes": 5_000_000},
            "records": {"sequence_length": 1024, "shards": shards, "packing": packing},
            "model": model,
            "training": {"total_steps": 200, "global_batch_size": 2},
        }
    )


def write_curated(folder: RunFolder, megabytes: int) -> int:
    """Files as curation leaves them, one for validation; returns the bytes of their texts."""
    folder.documents.mkdir(parents=True)
    rows: list[list[dict[str, object]]] = [[] for _ in range(FILES)]
    size_bytes = 0
    for number, text in enumerate(documents(megabytes)):
        document = Document(id=f"s:{number:024x}", text=text, source="s", licence="CC0-1.0")
        rows[number % FILES].append(document.as_dict())
        size_bytes += document.size_bytes
    names = [f"train-{number:05d}-of-{FILES - 1:05d}" for number in range(FILES - 1)]
    for name, part in zip([*names, "validation-00000-of-00001"], rows, strict=True):
        with (folder.documents / f"{name}.jsonl.gz").open("wb") as file:
            write_json_lines(file, part)
    return size_bytes


def measured(run: Run, root: Path) -> tuple[float, int, int]:
    """CPU seconds of a tokenization, the process's peak bytes, and its bytes before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    tokenize(run, RunFolder(root))
    seconds = time.process_time() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, before * 1024


def main() -> None:
    """Measures both ways and prints a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--shards", type=int, default=4)
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tokenization-"))
    try:
        folder = RunFolder(work / "run")
        size_bytes = write_curated(folder, given.megabytes)
        train_tokenizer(settings("stream", given.shards), folder)
        for packing in ("stream", "best_fit"):
            run = settings(packing, given.shards)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, peak, before = pool.apply(measured, (run, folder.root))
            manifest = manifests.read(folder.corpus)
            counts = manifest.splits["train"]
            tokens = counts.tokens + manifest.splits["validation"].tokens
            ids = max(shard.rows for shard in manifest.shards) * 1024 * 2
            print(
                json.dumps(
                    {
                        "packing": packing,
                        "MB a CPU second": round(size_bytes / 1e6 / seconds, 2),
                        "tokens a CPU second": round(tokens / seconds),
                        "peak MB": round(peak / 1e6),
                        "MB before": round(before / 1e6),
                        "MB of ids in the largest shard": round(ids / 1e6, 1),
                        "padding": counts.padding,
                    }
                )
            )
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
