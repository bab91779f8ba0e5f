"""Saves a random `Seq2SeqTransformer` of TF Model Garden, and what it makes of some sentences.

A program of its own: Garden needs the older Keras, which must not meet ours in one process.
Arguments: a folder; "pre" or "post"; "biases" or "plain".
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


def main(folder: Path, placement: str, biases: str) -> None:
    random = np.random.default_rng(5)
    tf.keras.utils.set_random_seed(5)
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
    drawn = embedding.numpy()
    for factor in (-1, 1, -2, 2, -4, 4):  # until some texts end, and perhaps some do not
        is_eos = np.arange(VOCABULARY)[:, None] == EOS
        embedding.assign(np.where(is_eos, factor * drawn, drawn))
        found = model({"inputs": inputs["inputs"]})
        if sum(EOS in row for row in found["outputs"].numpy()) > 3:
            break
    logits = model(inputs)
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
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
