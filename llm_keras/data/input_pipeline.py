"""Rows as batches for TensorFlow, in an order that is a function of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import tensorflow as tf

from llm_keras.data import order
from llm_keras.data.bucket_order import BucketOrder, batch_rows
from llm_keras.data.record_codec import RowKind
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError

COLUMNS = ("tokens", "segments", "positions")
#: Kind of rows -> columns of a batch, without `rows`.
COLUMNS_OF: dict[RowKind, tuple[str, ...]] = {
    "packed": COLUMNS,
    "answers": (*COLUMNS, "answers"),
    "pairs": ("source", "source_segments", "tokens", "segments"),
}
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
    multiple_of: int = 1,
) -> tf.data.Dataset:
    """Training batches without end, from any step on at the same cost.

    Args:
        store: The rows.
        global_batch_size: B, rows a step over all devices. Of pairs those of the longest; shorter
            ones are as many as give about as many tokens.
        seed: Of the order; see `order.row_at` and `bucket_order`.
        start_step: The step whose batch comes first: a seek, nothing is read and skipped.
        part: Which part of every global batch this worker reads, in [0, parts).
        parts: Workers that share a batch, each with B / parts rows that follow each other.
        multiple_of: What B of shorter pairs is a multiple of, besides the parts: replicas times
            micro-batches.

    Returns:
        Dataset of `tokens`, `segments`, `positions`: int32 [B / parts, T + 1], and `answers` where
        there are any; of pairs `source`, `source_segments`: int32 [B / parts, S], and `tokens`,
        `segments`: int32 [B / parts, T + 1], with B, S and T of the step's bucket. Also `rows`:
        int64 [B / parts], the number of each sample in the whole training, step * B + place, with
        the largest B. Wrap what reads it in `reader_errors`.
    """
    if global_batch_size % parts or not 0 <= part < parts:
        raise UserError(
            f"global_batch_size {global_batch_size} cannot give part {part} of {parts};"
            " it must be a multiple of the workers"
        )
    if store.manifest.kind == "pairs":
        tokens, multiple = global_batch_size * store.sequence_length, math.lcm(multiple_of, parts)
        return _pair_batches(
            store, BucketOrder(store.buckets, tokens, seed, multiple), start_step, part, parts
        )
    size = global_batch_size // parts

    def read(step: np.int64) -> Batch:
        samples = np.int64(step) * global_batch_size + part * size + np.arange(size)
        rows = order.row_at(samples, store.num_rows, seed)
        return {**store.rows(rows), "rows": samples}

    return _dataset(tf.data.Dataset.counter(start_step), read, store, size)


def _pair_batches(
    store: RecordStore, steps: BucketOrder, start_step: int, part: int, parts: int
) -> tf.data.Dataset:
    most = max(steps.sizes)

    def read(step: np.int64) -> Batch:
        chosen = steps.batch(int(step)).rows
        size = len(chosen) // parts
        mine = slice(part * size, (part + 1) * size)
        samples = np.int64(step) * most + np.arange(len(chosen))
        return {**store.rows(chosen[mine]), "rows": samples[mine]}

    return _dataset(tf.data.Dataset.counter(start_step), read, store, None)


def validation_batches(
    store: RecordStore,
    batch_size: int,
    max_rows: int | None = None,
    *,
    part: int = 0,
    parts: int = 1,
    multiple_of: int = 1,
) -> tf.data.Dataset:
    """Held-out rows, each once, always the same and in the same order.

    Args:
        store: The rows.
        batch_size: B; the last batch is filled up with rows of padding (segment 0), which have
            no targets, so that all batches have one shape. Of pairs that of the longest bucket;
            all batches of a bucket have one shape.
        max_rows: At most so many, evenly spread over the split; None reads all.
        part: Which part of every batch this worker reads, in [0, parts).
        parts: Workers that share a batch; B must be a multiple.
        multiple_of: What B of shorter pairs is a multiple of.

    Returns:
        Finite dataset of the columns of `batches` and `rows`: int64 [B], the row of the split, -1
        for padding.
    """
    count = min(store.num_rows, max_rows or store.num_rows)
    chosen = np.arange(count) * store.num_rows // count
    pairs = store.manifest.kind == "pairs"
    groups: list[tuple[int, np.ndarray]] = []  # B and rows of each batch
    for bucket in store.buckets:
        tokens = batch_size * store.sequence_length
        size = batch_rows(tokens, bucket.length, multiple_of) if pairs else batch_size
        first, last = np.searchsorted(chosen, [bucket.first, bucket.first + bucket.num_rows])
        groups += [(size, chosen[at : min(at + size, last)]) for at in range(first, last, size)]

    def read(number: np.int64) -> Batch:
        batch, rows = groups[number]
        size = batch // parts
        own = rows[part * size : (part + 1) * size]
        columns = {"rows": np.pad(own, (0, size - len(own)), constant_values=-1)}
        for name, column in store.rows(own if len(own) else rows[-1:]).items():
            # Something must be there to be attended to: of a source the last row's goes on.
            mode: Literal["edge", "constant"] = "edge" if "source" in name else "constant"
            real = column if mode == "edge" else column[: len(own)]
            columns[name] = np.pad(real, [(0, size - len(real)), (0, 0)], mode)
        return columns

    known = None if pairs else batch_size // parts
    return _dataset(tf.data.Dataset.range(len(groups)), read, store, known)


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
    numbers: tf.data.Dataset,
    read: Callable[[np.int64], Batch],
    store: RecordStore,
    size: int | None,
) -> tf.data.Dataset:
    """One batch for each number, read by one Python call and made ahead in order.

    Without a `size` neither rows nor lengths are known beforehand.
    """
    columns = COLUMNS_OF[store.manifest.kind]
    kinds = [tf.int32] * len(columns) + [tf.int64]
    width = None if size is None else store.sequence_length + 1
    shapes = [(size, width)] * len(columns) + [(size,)]
    names = (*columns, "rows")

    def call(number: np.int64) -> list[np.ndarray]:
        try:
            batch = read(number)
        except UserError as error:
            store.failure = error
            raise
        return [batch[name] for name in names]

    def batch(number: tf.Tensor) -> dict[str, tf.Tensor]:
        values = tf.numpy_function(call, [number], kinds)
        for value, shape in zip(values, shapes, strict=True):
            value.set_shape(shape)
        return dict(zip(names, values, strict=True))

    return numbers.map(batch, num_parallel_calls=1, deterministic=True).prefetch(PREFETCH)
