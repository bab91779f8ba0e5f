"""A small network and batches; tests get this module as the fixture `small`."""

import collections

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config, models
from llm_keras.training import optimizers
from llm_keras.training.trainer import Trainer

ROWS, LENGTH, VOCABULARY = 8, 12, 40


def make_network(**changes):
    """Two blocks of width 16; with dropout, so that masks are part of every comparison."""
    settings = {
        "num_layers": 2,
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_query_heads": 2,
        "dropout": 0.2,
        **changes,
    }
    return models.build_causal_lm(
        config.Model(**settings), vocabulary_size=VOCABULARY, sequence_length=LENGTH, seed=1
    )


def make_batches(count, seed=0):
    """Rows of documents of many lengths and of padding, so that parts differ in their tokens."""
    random = np.random.default_rng(seed)
    tokens = random.integers(2, VOCABULARY, (count, ROWS, LENGTH + 1))
    segments = np.ones_like(tokens)
    for row in range(ROWS):
        segments[:, row, 2 + row :] = 0 if row % 2 else 2
    columns = {
        "tokens": tokens.astype("int32"),
        "segments": segments.astype("int32"),
        "rows": np.arange(count * ROWS).reshape(count, ROWS),
    }
    return tf.data.Dataset.from_tensor_slices(columns)


def make_trainer(network=None, learning_rate=1e-2, **arguments):
    """A compiled trainer whose clipping is at work."""
    settings = config.Training(
        total_steps=40,
        global_batch_size=ROWS,
        schedule={"warmup_steps": 4},
        optimizer={"learning_rate": learning_rate, "clip_norm": 0.1},
    )
    trainer = Trainer(network or make_network(), seed=5, **arguments)
    trainer.compile(optimizers.build(settings, trainer.trainable_variables))
    return trainer


class Log(keras.callbacks.Callback):
    """Keeps the logs of every step."""

    def __init__(self):
        super().__init__()
        self.values = collections.defaultdict(list)

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            self.values[name].append(value)
