"""A masked_lm from raw text to the service: hidden tokens guessed, vectors of sentences served."""

import json
import math
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from llm_keras.run_folder import RunFolder
from serving import server

from .test_translation import perform

ADDRESSES = Path(__file__).parents[2] / "examples" / "data" / "state_of_the_union"
RUN_FILE = """
purpose: Vectors of sentences.
corpus:
  sources: [{{name: addresses, kind: text, path: {addresses}, language: en}}]
  language: null
  validation_fraction: 0.1
tokenizer: {{vocabulary_size: 600, user_symbols: [<mask>], sample_bytes: 300000}}
records: {{sequence_length: 64, shards: 1}}
model:
  kind: masked_lm
  num_layers: 1
  hidden_dim: 32
  intermediate_dim: 64
  num_query_heads: 2
training:
  total_steps: 40
  global_batch_size: 16
  optimizer: {{learning_rate: 0.01}}
  schedule: {{warmup_steps: 3}}
  validate_every_steps: 40
  validation_rows: 32
serving: {{model_name: vectors}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run folder that `llm-keras run` left."""
    root = tmp_path_factory.mktemp("masked")
    (root / "vectors.yaml").write_text(RUN_FILE.format(addresses=ADDRESSES))
    perform(root, "run", "vectors.yaml")
    return RunFolder(root / "runs" / "vectors")


def test_hidden_tokens_are_guessed(finished):
    """Better than a uniform guess after 40 steps; the counting models see the same tokens."""
    found = json.loads(finished.evaluation.read_text())
    assert found["targets"] > 1000
    assert found["cross_entropy"] < math.log(600) - 0.3
    assert found["accuracy"] <= found["top_5_accuracy"]
    unigram, neighbours = (found["baselines"][name] for name in ("unigram", "neighbours"))
    assert neighbours["accuracy"] > 2 * unigram["accuracy"]
    assert neighbours["cross_entropy"] < unigram["cross_entropy"] < math.log(600)


def test_the_report_shows_guesses(finished):
    """Texts with what was hidden, and the table."""
    perform(finished.root, "report", finished.root)
    page = finished.report.read_text()
    assert "Hidden tokens of held-out documents" in page
    assert "<ins " in page


def test_vectors_over_rest(finished):
    """Unit length, equal for equal texts, different for others."""
    texts = ["The state of the Union", "Peace with all nations", "The state of the Union"]
    body = {"signature_name": "encode", "instances": texts}
    with server.start_in_background(finished.export, "vectors") as url:
        request = urllib.request.Request(
            f"{url}/v1/models/vectors:predict", data=json.dumps(body).encode()
        )
        with urllib.request.urlopen(request) as response:
            vectors = np.array(json.load(response)["predictions"])
    assert vectors.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.9999
