"""A run's folder made by hand, with text that would break out of a careless page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from llm_keras import config
from llm_keras.data.document import write_json_lines
from llm_keras.run_folder import RunFolder

EVIL = """<script>alert("x")</script><img src=x onerror='alert(1)'> & "quoted" 'text'"""


def score(perplexity: float) -> dict[str, float]:
    nats = math.log(perplexity)
    return {
        "cross_entropy": nats,
        "perplexity": perplexity,
        "bits_per_byte": nats / math.log(2) / 3,
    }


def evaluation(perplexity: float = 28.9) -> dict[str, Any]:
    baselines = {"unigram": 347.2, "bigram": 42.9, "trigram": 21.5}
    return {
        "step": 300,
        "split": "validation",
        "parameters": 853_888,
        "targets": 18_321,
        "bytes": 55_021,
        **score(perplexity),
        "baselines": {name: score(value) for name, value in baselines.items()},
        "samples": [{"prompt": EVIL, "text": f" goes on {EVIL}\n\nand on."}],
    }


def manifest() -> dict[str, Any]:
    counts = {"rows": 10, "tokens": 2_500, "targets": 2_400, "documents": 5, "bytes": 7_400}
    return {
        "format": 1,
        "sequence_length": 256,
        "vocabulary_size": 1024,
        "columns": {"tokens": "uint16", "segments": "uint16", "positions": "uint16"},
        "record_bytes": 1_600,
        "tokenizer_sha256": "ab" * 32,
        "settings_hash": "cd" * 32,
        "splits": {"train": counts, "validation": counts},
        "shards": [],
        "sources": {},
    }


def curation() -> dict[str, Any]:
    dropped = {"duplicate": 4, EVIL: 1}
    counts = {"in": 20, "kept": 14, "dropped": dropped, "dead": 1, "bytes_in": 9, "bytes_kept": 7}
    return {
        "format": 1,
        "sources": {"letters": counts, EVIL: {**counts, "dropped": {}, "in": 15}},
        "splits": {
            "train": {"documents": 26, "bytes": 1_000},
            "validation": {"documents": 2, "bytes": 90},
        },
        "files": {},
        "settings_hash": "ef" * 32,
    }


def document(text: str, **more: str) -> dict[str, Any]:
    known = {"id": "letters:0", "subset": None, "language": "en", "licence": EVIL, "url": EVIL}
    return {**known, "text": text, "source": "letters", **more}


def steps(count: int) -> list[dict[str, float]]:
    return [
        {
            "step": step,
            "loss": 3 + 4 / step,
            "tokens": 4096,
            "tokens_per_second": 15_000.0,
            "learning_rate": 1e-3,
            "grad_norm": 0.5,
        }
        for step in range(1, count + 1)
    ]


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_documents(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_json_lines(file, rows)


@pytest.fixture
def run() -> config.Run:
    """Settings whose purpose and prompts are markup."""
    return config.Run.model_validate(
        {
            "purpose": EVIL,
            "corpus": {"sources": [{"name": "letters", "kind": "text", "path": EVIL}]},
            "tokenizer": {"vocabulary_size": 1024},
            "records": {"sequence_length": 256},
            "model": {
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 8,
                "num_query_heads": 2,
            },
            "training": {"total_steps": 300, "global_batch_size": 16},
            "evaluation": {"prompts": [EVIL]},
        }
    )


@pytest.fixture
def empty_folder(tmp_path: Path) -> RunFolder:
    """A run of which nothing was performed yet."""
    root = tmp_path / "letters"
    root.mkdir()
    return RunFolder(root)


@pytest.fixture
def full_folder(empty_folder: RunFolder) -> RunFolder:
    """A run with every part that the report shows, but the tokenizer's model."""
    folder = empty_folder
    write_documents(
        folder.documents / "train-00000-of-00001.jsonl.gz",
        [document(EVIL), document("word " * 5000)],
    )
    write_documents(
        folder.rejected / "rejected-00000-of-00001.jsonl.gz",
        [
            document(f"A rejected text. {EVIL}", reason="too_few_words", detail=f"6 < 50 {EVIL}"),
            document("A second one for the same reason.", reason="too_few_words", detail="7 < 50"),
        ],
    )
    folder.curation.write_text(json.dumps(curation()))
    folder.manifest.write_text(json.dumps(manifest()))
    write_lines(folder.metrics, steps(300))
    write_lines(folder.validation_metrics, [{"step": 200, "loss": 3.2, "tokens": 2_400}])
    folder.evaluation.write_text(json.dumps(evaluation()))
    return folder
