"""Rows as batches for TensorFlow, in an order that is a function of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from llm_keras.data import order
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError

COLUMNS = ("tokens", "segments", "positions")
#: Batches made ahead while a step runs.
PREFETCH = 2

Batch = dict[str, np.ndarray]


def batches(
    store: RecordStore,
    *,
    global_batch_size: int,
    seed: int,
    start_step: int = 0,
    part: int = 0,
    parts: int = 1,
) -> tf.data.Dataset:
    """Training batches without end, from any step on at the same cost.

    Args:
        store: The rows.
        global_batch_size: B, rows a step over all devices.
        seed: Of the order; see `order.row_at`.
        start_step: The step whose batch comes first: a seek, nothing is read and skipped.
        part: Which part of every global batch this worker reads, in [0, parts).
        parts: Workers that share a batch, each with B / parts rows that follow each other.

    Returns:
        Dataset of `tokens`, `segments`, `positions`: int32 [B / parts, T + 1], and `rows`: int64
        [B / parts], the number of each sample in the whole training, step * B + place.
        Wrap what reads it in `reader_errors`.
    """
    if global_batch_size % parts or not 0 <= part < parts:
        raise UserError(
            f"global_batch_size {global_batch_size} cannot give part {part} of {parts};"
            " it must be a multiple of the workers"
        )
    size = global_batch_size // parts

    def read(step: np.int64) -> Batch:
        samples = np.int64(step) * global_batch_size + part * size + np.arange(size)
        rows = order.row_at(samples, store.num_rows, seed)
        return {**store.rows(rows), "rows": samples}

    return _dataset(tf.data.Dataset.counter(start_step), read, store, size)


def validation_batches(
    store: RecordStore, batch_size: int, max_rows: int | None = None
) -> tf.data.Dataset:
    """Held-out rows, each once, always the same and in the same order.

    Args:
        store: The rows.
        batch_size: B; the last batch is filled up with rows of padding (segment 0), which have
            no targets, so that all batches have one shape.
        max_rows: At most so many, evenly spread over the split; None reads all.

    Returns:
        Finite dataset of `tokens`, `segments`, `positions`: int32 [B, T + 1], and `rows`: int64
        [B], the row of the split, -1 for padding.
    """
    count = min(store.num_rows, max_rows or store.num_rows)
    chosen = np.arange(count) * store.num_rows // count

    def read(number: np.int64) -> Batch:
        rows = chosen[number * batch_size : (number + 1) * batch_size]
        padding = [(0, batch_size - len(rows))]
        columns = {
            name: np.pad(column, [*padding, (0, 0)]) for name, column in store.rows(rows).items()
        }
        return {**columns, "rows": np.pad(rows, padding, constant_values=-1)}

    return _dataset(tf.data.Dataset.range(-(-count // batch_size)), read, store, batch_size)


@contextmanager
def reader_errors(*stores: RecordStore) -> Iterator[None]:
    """Turns TensorFlow's report of a failed read back into the error of the reader.

    tf.data knows an exception in Python only as text inside its own error, with a traceback.

    Example:
        ```python
        with reader_errors(train_store, validation_store):
            model.fit(batches(train_store, ...), validation_data=...)
        ```

    Raises:
        UserError: What a store met: one line that names the file.
    """
    for store in stores:
        store.failure = None
    try:
        yield
    except tf.errors.OpError:
        for store in stores:
            if store.failure is not None:
                raise UserError(str(store.failure)) from None
        raise


def _dataset(
    numbers: tf.data.Dataset, read: Callable[[np.int64], Batch], store: RecordStore, size: int
) -> tf.data.Dataset:
    """One batch for each number, read by one Python call and made ahead in order."""
    kinds = [tf.int32] * len(COLUMNS) + [tf.int64]
    shapes = [(size, store.sequence_length + 1)] * len(COLUMNS) + [(size,)]
    names = (*COLUMNS, "rows")

    def call(number: np.int64) -> list[np.ndarray]:
        try:
            batch = read(number)
        except UserError as error:
            store.failure = error
            raise
        return [batch[name] for name in names]

    def batch(number: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = tf.numpy_function(call, [number], kinds)
        for column, shape in zip(columns, shapes, strict=True):
            column.set_shape(shape)
        return dict(zip(names, columns, strict=True))

    return numbers.map(batch, num_parallel_calls=1, deterministic=True).prefetch(PREFETCH)
