"""TF Model Garden's Seq2SeqTransformer and ours, imported from its checkpoint, compute the same."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import interop, models
from llm_keras.generation import beam_search
from llm_keras.generation.cached_model import WithSource
from llm_keras.generation.special_ids import SpecialIds
from llm_keras.interop import weights

PROGRAM = Path(__file__).with_name("garden_transformer.py")
PAD, EOS, EXTRA = 0, 1, 10

pytestmark = pytest.mark.skipif(
    find_spec("official") is None, reason="tf-models-official is not installed"
)


@pytest.fixture(
    scope="module",
    params=[("pre", "plain"), ("post", "plain"), ("pre", "biases")],
    ids="-".join,
)
def garden(request, tmp_path_factory):
    """A checkpoint of Garden, what it computed, and our model with its weights."""
    folder = tmp_path_factory.mktemp("garden")
    subprocess.run(
        [sys.executable, PROGRAM, folder, *request.param],
        check=True, capture_output=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    source = interop.open_source(folder / "garden-1")
    # The weights cannot show where the norms stand.
    settings = source.description.settings.model_copy(update={"norm_placement": request.param[0]})
    model = models.build_model(settings, vocabulary_size=40, sequence_length=32)
    assert weights.load(model, source.tensors, source.table, "garden") == []
    return model, np.load(folder / "expected.npz")


def test_logits(garden):
    """The same weights give the same logits; sources are filled up with 0."""
    model, expected = garden
    sources = expected["sources"].astype("int32")
    shifted = np.pad(expected["targets"], [(0, 0), (1, 0)])[:, :-1].astype("int32")
    inputs = {"source": sources, "source_segments": (sources != PAD).astype("int32")}
    logits = model(inputs | {"tokens": shifted})
    scale = np.abs(expected["logits"]).max()
    np.testing.assert_allclose(logits / scale, expected["logits"] / scale, atol=1e-5)


def test_beam_search(garden):
    """Twenty sentences: identical tokens of the best hypothesis, whether it ends or not."""
    model, expected = garden
    sources = expected["sources"].astype("int32")
    ragged = tf.RaggedTensor.from_tensor(sources, padding=PAD)
    found = beam_search.search(
        WithSource(model, ragged, PAD),
        tf.ragged.constant([[PAD]] * len(sources), tf.int32),
        tf.fill([len(sources)], sources.shape[1] + EXTRA),
        SpecialIds(pad=PAD, bos=PAD, eos=EOS, never=()),
        num_beams=4,
        length_penalty=0.6,
    )
    ended = [EOS in ids for ids in expected["beams"]]
    for row, ids in enumerate(expected["beams"].tolist()):
        length = int(found.lengths[row, 0])
        assert found.tokens[row, 0, :length].numpy().tolist() == (
            ids[: ids.index(EOS)] if ended[row] else ids
        )
    # Garden leaves the length penalty out for what did not end.
    np.testing.assert_allclose(found.scores.numpy()[ended, 0], expected["scores"][ended], rtol=1e-4)
    assert sum(ended) > 3
