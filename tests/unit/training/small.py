"""A small network and batches; tests get this module as the fixture `small`."""

import collections

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config, models
from llm_keras.training import optimizers
from llm_keras.training.trainer import Trainer

ROWS, LENGTH, VOCABULARY = 8, 12, 40


def make_network(dtype_policy="float32", **changes):
    """A block of width 16; with dropout, so that masks are part of every comparison."""
    settings = {
        "num_layers": 1,
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_query_heads": 2,
        "dropout": 0.2,
        **changes,
    }
    return models.build_model(
        config.Model(**settings),
        vocabulary_size=VOCABULARY,
        sequence_length=LENGTH,
        seed=1,
        dtype_policy=dtype_policy,
    )


def make_batches(count, seed=0, fewer_segments=False):
    """Rows of documents of many lengths and of padding, so that parts differ in their tokens."""
    random = np.random.default_rng(seed)
    tokens = random.integers(2, VOCABULARY, (count, ROWS, LENGTH + 1))
    segments = np.ones_like(tokens)
    for row in range(ROWS):
        segments[:, row, 2 + row :] = 0 if row % 2 else 2
    if fewer_segments:
        segments[1, 3:] = 0
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


def fit(trainer, data):
    """Trains on all of `data`; returns the logs of every step."""
    log = Log()
    trainer.fit(data, callbacks=[log], shuffle=False, verbose=0)
    return dict(log.values)


def variables(trainer):
    """Everything that a step may change."""
    return [*trainer.network.variables, *trainer.optimizer.variables]


def state(trainer):
    """The values of everything that a step may change."""
    return [variable.value.numpy() for variable in variables(trainer)]
