"""Saves a random `Seq2SeqTransformer` of TF Model Garden, and what it makes of some sentences.

A program of its own: Garden needs the older Keras, which must not meet ours in one process.
Arguments: a folder; "pre" or "post"; "biases" or "plain"; what to multiply the vector of eos by, so
that some texts end and some do not.
"""

import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from official.nlp.modeling import models

VOCABULARY, WIDTH, EXTRA = 40, 32, 10
EOS = 1


def main(folder: Path, placement: str, biases: str, factor: float) -> None:
    random = np.random.default_rng(5)
    common = {
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "use_bias": biases == "biases",
        "norm_first": placement == "pre",
    }
    model = models.Seq2SeqTransformer(
        vocab_size=VOCABULARY,
        embedding_width=WIDTH,
        extra_decode_length=EXTRA,
        beam_size=4,
        alpha=0.6,
        encoder_layer=models.TransformerEncoder(num_layers=2, **common),
        decoder_layer=models.TransformerDecoder(num_layers=3, **common),
    )
    lengths = random.integers(3, 12, 20)
    sources = random.integers(2, VOCABULARY, [20, 12]) * (np.arange(12) < lengths[:, None])
    targets = random.integers(2, VOCABULARY, [20, 9])
    inputs = {"inputs": tf.constant(sources, tf.int32), "targets": tf.constant(targets, tf.int32)}
    model(inputs)  # makes the weights
    for variable in model.variables:
        variable.assign(variable + random.normal(0, 0.2, variable.shape))
    embedding = model.embedding_lookup.embeddings
    embedding.assign(embedding * np.where(np.arange(VOCABULARY) == EOS, factor, 1.0)[:, None])
    logits = model(inputs)
    found = model({"inputs": inputs["inputs"]})
    tf.train.Checkpoint(model=model).save(str(folder / "garden"))
    np.savez(
        folder / "expected.npz",
        sources=sources,
        targets=targets,
        logits=logits,
        beams=found["outputs"],
        scores=found["scores"],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
