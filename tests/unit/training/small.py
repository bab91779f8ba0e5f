"""A small network and batches; tests get this module as the fixture `small`."""

import collections

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config, models
from llm_keras.models.masking import Masking
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
    return _untuned(tf.data.Dataset.from_tensor_slices(columns))


def make_pairs(count, seed=0, lengths=((5, 8), (12, 6))):
    """Pairs of many lengths, batches of them in buckets; what is written follows what is read."""
    random = np.random.default_rng(seed)

    def batch(number):
        source_length, length = lengths[number % len(lengths)]
        source = random.integers(4, VOCABULARY, (ROWS, source_length))
        tokens = np.resize(source.T, (length + 1, ROWS)).T
        real = np.arange(length + 1) < random.integers(2, length + 2, (ROWS, 1))
        columns = {
            "source": source,
            "source_segments": np.arange(source_length) < 2 + np.arange(ROWS)[:, None] % 4,
            "tokens": np.where(real, tokens, 0),
            "segments": real,
        }
        columns = {name: column.astype("int32") for name, column in columns.items()}
        return {**columns, "rows": number * ROWS + np.arange(ROWS)}

    shapes = {name: tf.TensorSpec([None, None], tf.int32) for name in batch(0) if name != "rows"}
    return tf.data.Dataset.from_generator(
        lambda: map(batch, range(count)),
        output_signature={**shapes, "rows": tf.TensorSpec([None], tf.int64)},
    ).apply(tf.data.experimental.assert_cardinality(count))


def _untuned(data):
    """Without tf.data's tuner, whose thread ends late: `fit` would wait twice as long."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def make_masking(**changes):
    """Of a vocabulary whose first five ids are special, the mask piece being 4."""
    return Masking(config.Masking(**changes), VOCABULARY, mask_id=4, special_ids=range(4))


def make_trainer(network=None, learning_rate=1e-2, optimizer=None, jit_compile=False, **arguments):
    """A compiled trainer whose clipping is at work."""
    settings = config.Training(
        total_steps=40,
        global_batch_size=ROWS,
        schedule={"warmup_steps": 4},
        optimizer={"learning_rate": learning_rate, "clip_norm": 0.1, **(optimizer or {})},
    )
    network = network or make_network()
    if network.settings.kind == "masked_lm":
        arguments = {"masking": make_masking(), **arguments}
    trainer = Trainer(network, seed=5, **arguments)
    built = optimizers.build(settings, trainer.trainable_variables)
    trainer.compile(built, jit_compile=jit_compile)
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
    averages = trainer.average.averages if trainer.average else []
    return [*trainer.network.variables, *trainer.optimizer.variables, *averages]


def state(trainer):
    """The values of everything that a step may change."""
    return [variable.value.numpy() for variable in variables(trainer)]
