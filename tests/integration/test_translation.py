"""Translation from the raw pairs to the service: the whole path on bundled verses."""

import json
import math
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from llm_keras import models, run_file, tokenizers
from llm_keras.evaluation import translation_score
from llm_keras.evaluation.translation import pairs_of
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoints
from serving import server

VERSES = Path(__file__).parents[2] / "examples" / "data" / "bible_en_es"
RUN_FILE = """
purpose: Translate a few verses, badly.
corpus:
  sources:
    - {{name: bible, kind: parallel, path: {verses}/en, target_path: {verses}/es, language: en}}
  language: null
  length: null
  repetition: null
  validation_subsets: [Jonah, Ruth]
tokenizer: {{vocabulary_size: 600}}
records: {{sequence_length: 192, buckets: [64, 192], shards: 1}}
model:
  kind: encoder_decoder
  num_layers: 1
  hidden_dim: 32
  intermediate_dim: 64
  num_query_heads: 2
  activation: relu
training:
  total_steps: 30
  global_batch_size: 8
  label_smoothing: 0.1
  optimizer: {{learning_rate: 0.01}}
  schedule: {{warmup_steps: 3}}
  validate_every_steps: 15
  validation_rows: 32
generation: {{num_beams: 2, max_new_tokens: 12}}
evaluation: {{translation_pairs: 12}}
serving: {{model_name: verses}}
"""


def perform(folder, *arguments):
    """Runs `llm-keras` as a user does."""
    return subprocess.run(
        [Path(sys.executable).with_name("llm-keras"), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run folder that `llm-keras run` left, and what it printed."""
    root = tmp_path_factory.mktemp("translation")
    (root / "verses.yaml").write_text(RUN_FILE.format(verses=VERSES))
    printed = perform(root, "run", "verses.yaml")
    return RunFolder(root / "runs" / "verses"), printed


def test_books_are_held_out_whole(finished):
    """132 verses of two books, of which one stands there twice, against all others."""
    folder, _ = finished
    splits = json.loads(folder.manifest.read_text())["splits"]
    assert splits["validation"]["documents"] == 85 + 48 - 1
    assert splits["train"]["documents"] == 523 - 85 - 48


def test_the_loss_falls(finished):
    """Fewer nats a token than a uniform guess, and than the first steps."""
    folder, _ = finished
    losses = [json.loads(line)["loss"] for line in folder.metrics.read_text().splitlines()]
    assert len(losses) == 30
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.5
    found = json.loads(folder.evaluation.read_text())
    assert found["cross_entropy"] < math.log(600)
    assert set(found["baselines"]) == {"unigram", "bigram", "trigram"}


def test_the_cost_is_that_of_single_pairs(finished):
    """Verse by verse from the text itself, unfilled, its softmax in float64 NumPy."""
    folder, _ = finished
    network = models.build(run_file.load(folder.run_file))
    checkpoints.load_network(folder, network)
    tokenizer = tokenizers.load(folder.tokenizer_model)
    nats, targets = 0.0, 0
    pairs = list(pairs_of(folder, "validation"))
    sides = ([pair.text for pair in pairs], [pair.target for pair in pairs])
    for source, target in zip(*map(tokenizer.encode_batch, sides), strict=True):
        ids = np.array([[2, *target, 3]])
        inputs = {"source": np.array([[*source, 3]]), "tokens": ids[:, :-1]}
        logits = network(inputs).numpy()[0].astype(np.float64)
        of_targets = np.take_along_axis(logits, ids[0, 1:, None], axis=1).sum()
        nats += np.log(np.exp(logits).sum(axis=1)).sum() - of_targets
        targets += len(target) + 1
    found = json.loads(folder.evaluation.read_text())
    assert found["targets"] == targets
    assert found["cross_entropy"] == pytest.approx(nats / targets, rel=1e-5)


def test_translations_are_scored_and_signed(finished):
    """Printed and stored with signatures, beside both baselines, by book."""
    folder, printed = finished
    found = json.loads(folder.evaluation.read_text())["translation"]
    assert found["pairs"] == 12
    assert (found["held_out"], found["too_long"]) == (132, 0)
    assert found["known_pairs"] == 523 - 133
    assert found["signatures"] == translation_score.signatures()
    assert list(found["subsets"]) == ["Jonah", "Ruth"]
    said = re.search(r"BLEU ([\d.]+) \((.*)\), chrF ([\d.]+) \((.*)\)", printed.replace("\n", " "))
    assert said is not None, printed
    assert found["bleu"] == pytest.approx(float(said[1]), abs=0.006)
    memory, copy = (found["baselines"][name] for name in ("translation memory", "copy"))
    assert 0 < copy["chrf"] < memory["chrf"] < 50  # Spanish, at least
    for sample in found["samples"]:
        assert sample["subset"] in ("Jonah", "Ruth")
        english = (VERSES / "en" / f"{sample['subset']}.txt").read_text().splitlines()
        spanish = (VERSES / "es" / f"{sample['subset']}.txt").read_text().splitlines()
        assert spanish[english.index(sample["source"])] == sample["reference"]


def test_the_report_shows_translations(finished):
    """Each beside its source and its reference."""
    folder, _ = finished
    perform(folder.root, "report", folder.root)
    page = folder.report.read_text()
    sample = json.loads(folder.evaluation.read_text())["translation"]["samples"][0]
    assert "Translation of held-out pairs" in page
    assert sample["reference"].split(",")[0] in page


def test_the_export_translates_over_rest(finished):
    """The served model gives the translations that were evaluated, by beam search too."""
    folder, _ = finished
    samples = json.loads(folder.evaluation.read_text())["translation"]["samples"]
    body = {"signature_name": "translate", "instances": [each["source"] for each in samples]}
    with server.start_in_background(folder.export, "verses") as url:
        request = urllib.request.Request(
            f"{url}/v1/models/verses:predict", data=json.dumps(body).encode()
        )
        with urllib.request.urlopen(request) as response:
            rows = json.load(response)["predictions"]
    assert [row["text"] for row in rows] == [each["translation"] for each in samples]
