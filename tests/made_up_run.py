"""A small run on made-up records, for tests of training: its files, its trace, its processes."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np

from llm_keras import run_file
from llm_keras.data import manifest, packing
from llm_keras.data.record_codec import RecordLayout
from llm_keras.training import checkpoint_files
from llm_keras.training.step_metrics import BY_THE_CLOCK

STEPS, VALIDATE, SAVE = 24, 7, 8
RUN = f"""
corpus: {{sources: [{{name: made-up, kind: text, path: nowhere}}]}}
tokenizer: {{vocabulary_size: 300}}
records: {{sequence_length: 16}}
model: {{num_layers: 1, hidden_dim: 16, intermediate_dim: 32, num_query_heads: 2, dropout: 0.1}}
training:
  total_steps: {STEPS}
  global_batch_size: 8
  validate_every_steps: {VALIDATE}
  checkpoint_every_steps: {SAVE}
  schedule: {{warmup_steps: 5}}
"""
TOKENIZER = b"stands for a SentencePiece model"


def settings(*overrides):
    return run_file.parse(RUN, "run.yaml", overrides)


def write_corpus(folder, random=None):
    """Documents that count up in small steps, in one shard a split."""
    random = random or np.random.default_rng(0)
    folder.corpus.mkdir(parents=True)
    folder.tokenizer_model.parent.mkdir()
    folder.tokenizer_model.write_bytes(TOKENIZER)
    layout, shards, splits = RecordLayout(16, 300), [], {}
    for split, documents in (("train", 64), ("validation", 9)):
        texts = [
            np.array([2, *(random.integers(0, 4, length).cumsum() + 7), 3])
            for length in random.integers(5, 30, documents)
        ]
        content = b"".join(layout.encode(rows) for rows in packing.pack(texts, 16))
        path = folder.corpus / f"{split}-00000-of-00001.tfrecord"
        path.write_bytes(content)
        rows, tokens = len(content) // layout.record_bytes, sum(map(len, texts))
        shards.append(
            manifest.Shard(
                file=path.name,
                split=split,
                rows=rows,
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )
        splits[split] = manifest.SplitCounts(
            rows=rows,
            tokens=tokens,
            targets=tokens - documents,
            documents=documents,
            bytes=3 * tokens,
            bytes_per_token=3.0,
        )
    described = manifest.Manifest(
        sequence_length=16,
        vocabulary_size=300,
        columns=layout.columns,
        record_bytes=layout.record_bytes,
        tokenizer_sha256=hashlib.sha256(TOKENIZER).hexdigest(),
        settings_hash="0" * 64,
        splits=splits,
        shards=tuple(shards),
        sources={},
    )
    manifest.write(described, folder.corpus)


def trace(path):
    """Every line but what depends on the clock."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: line[key] for key in line if key not in BY_THE_CLOCK} for line in lines]


def assert_same_run(folder, other):
    """Metrics, validation and the last checkpoint are the same, bit for bit."""
    assert trace(folder.metrics) == trace(other.metrics)
    assert trace(folder.validation_metrics) == trace(other.validation_metrics)
    states = [checkpoint_files.newest(f.checkpoints)[0] for f in (folder, other)]
    assert states[0].step == states[1].step == STEPS
    assert states[0].manifest["files"] == states[1].manifest["files"]


def in_child(folder, body, *overrides):
    """Starts a process that trains in `folder` after `body` has prepared it."""
    code = f"""
import os, signal, sys, time
from pathlib import Path
from llm_keras import run_file
from llm_keras.errors import LLMKerasError
from llm_keras.run_folder import RunFolder
from llm_keras.training import step_metrics, train
def after_step(function):
    earlier = step_metrics.StepMetrics.on_step_end
    def on_step_end(self, step, logs):
        earlier(self, step, logs)
        function(step)
    step_metrics.StepMetrics.on_step_end = on_step_end
{body}
try:
    train(run_file.parse({RUN!r}, "run.yaml", {overrides!r}), RunFolder(Path({str(folder.root)!r})))
except LLMKerasError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
