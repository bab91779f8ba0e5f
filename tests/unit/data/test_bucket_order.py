"""Batches of pairs: every row once an epoch, about equal tokens, any step at the same cost."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras.data import input_pipeline
from llm_keras.data.bucket_order import BucketOrder, batch_rows
from llm_keras.data.records import Bucket, RecordStore

COUNTS = {8: 61, 16: 37, 24: 5}


def buckets_of(counts):
    starts = itertools.accumulate(counts.values(), initial=0)
    return [
        Bucket(length, first, count)
        for (length, count), first in zip(counts.items(), starts, strict=False)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_pair_corpus):
    folder = tmp_path_factory.mktemp("pairs")
    make_pair_corpus(folder, COUNTS, validation={8: 10, 16: 7, 24: 1})
    return RecordStore(folder, "train")


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(0, 90), min_size=1, max_size=4).filter(any),
    tokens=st.integers(1, 900),
    multiple=st.integers(1, 4),
    seed=st.integers(0, 2**64 - 1),
)
def test_every_row_comes_once_an_epoch_of_its_bucket(counts, tokens, multiple, seed):
    buckets = buckets_of({8 * (place + 1): count for place, count in enumerate(counts)})
    steps = BucketOrder(buckets, tokens, seed, multiple)
    epochs = 3
    end = sum(steps._batches_before(epochs))
    seen = {bucket: [] for bucket in steps.buckets}
    batches = [steps.batch(step) for step in range(min(end, 2_000))]
    for bucket, rows in batches:
        seen[bucket].append(rows)
        assert ((rows >= bucket.first) & (rows < bucket.first + bucket.num_rows)).all()
        assert len(rows) % multiple == 0
    if end > len(batches):
        return
    for bucket, found in seen.items():
        times = np.bincount(np.concatenate(found) - bucket.first, minlength=bucket.num_rows)
        assert times.min() >= epochs  # those of a last batch made whole come early, none late
        assert times.sum() - epochs * bucket.num_rows < len(found[0])


def test_within_a_bucket_no_row_comes_twice_before_all_came_once(store):
    steps = BucketOrder(store.buckets, 96, seed=5)
    first = store.buckets[0]
    found = [(step.bucket, step.rows) for step in map(steps.batch, range(200))]
    epoch = steps._batches_before(1)[0]
    rows = np.concatenate([rows for bucket, rows in found if bucket == first])
    assert len(rows) > 2 * first.num_rows
    # Batches of an epoch are permuted, but each is in its epoch.
    size = steps.sizes[0]
    whole = epoch * size
    assert set(rows[:whole].tolist()) == set(range(first.num_rows))


def test_each_bucket_has_its_share_and_its_own_order():
    counts = {16: 4_000, 24: 2_000, 64: 1_000}
    steps = BucketOrder(buckets_of(counts), 512, seed=0)
    num_steps = sum(steps._batches_before(1))
    chosen = [steps.batch(step).bucket.length for step in range(num_steps)]
    for bucket, size in zip(steps.buckets, steps.sizes, strict=True):
        assert chosen.count(bucket.length) == -(-bucket.num_rows // size)
    assert len(set(chosen[:10])) > 1
    again = [steps.batch(step).bucket.length for step in range(num_steps, 2 * num_steps)]
    assert chosen != again
    other = BucketOrder(buckets_of(counts), 512, seed=1)
    assert chosen != [other.batch(step).bucket.length for step in range(num_steps)]


def test_a_batch_has_the_tokens_it_should_within_a_tenth():
    for length in (16, 24, 40, 64, 96, 128):
        rows = batch_rows(4_096, length, multiple_of=4)
        assert rows % 4 == 0
        assert 0.9 * 4_096 <= rows * length <= 1.1 * 4_096


def take(dataset, count):
    return [
        {name: column.numpy() for name, column in batch.items()} for batch in dataset.take(count)
    ]


def batches(store, **settings):
    return input_pipeline.batches(store, global_batch_size=8, seed=3, multiple_of=2, **settings)


def test_a_batch_is_what_the_order_names(store):
    steps = BucketOrder(store.buckets, 8 * 24, 3, multiple_of=2)
    for step, batch in enumerate(take(batches(store), 20)):
        bucket, rows = steps.batch(step)
        np.testing.assert_array_equal(
            batch.pop("rows"), step * max(steps.sizes) + np.arange(len(rows))
        )
        assert batch["source"].shape == (len(rows), bucket.length)
        assert batch["tokens"].shape == (len(rows), bucket.length + 1)
        np.testing.assert_equal(batch, store.rows(rows))


def test_types_are_static_and_there_is_no_end(store):
    dataset = batches(store)
    wide, rows = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int64)
    names = ("source", "source_segments", "tokens", "segments")
    assert dataset.element_spec == {**dict.fromkeys(names, wide), "rows": rows}
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY


def test_two_passes_are_equal(store):
    for one, two in zip(take(batches(store), 30), take(batches(store), 30), strict=True):
        np.testing.assert_equal(one, two)


@pytest.mark.parametrize("start", [1, 17, 10_000_000, 10**12])
def test_a_seek_equals_a_skip_and_reads_only_what_it_returns(store, start, monkeypatch):
    expected = take(batches(store, start_step=start - 1), 4)[1:]
    read, rows = [], RecordStore.rows
    monkeypatch.setattr(
        RecordStore, "rows", lambda self, indices: read.append(len(indices)) or rows(self, indices)
    )
    np.testing.assert_equal(take(batches(store, start_step=start), 3), expected)
    assert len(read) <= 3 + 1 + input_pipeline.PREFETCH


@pytest.mark.parametrize("parts", [2, 4])
def test_the_parts_of_workers_make_up_the_batch(store, parts):
    settings = {"start_step": 5, "parts": parts}
    workers = [take(batches(store, part=part, **settings), 6) for part in range(parts)]
    whole = [BucketOrder(store.buckets, 8 * 24, 3, multiple_of=4 if parts == 4 else 2)]
    for step, split in enumerate(zip(*workers, strict=True)):
        joined = {name: np.concatenate([each[name] for each in split]) for name in split[0]}
        del joined["rows"]
        np.testing.assert_equal(joined, store.rows(whole[0].batch(step + 5).rows))


@pytest.mark.parametrize("most", [None, 7])
def test_validation_has_every_row_once_and_fills_batches_without_targets(store, most):
    held_out = RecordStore(store.corpus, "validation")
    found = take(input_pipeline.validation_batches(held_out, 2, most, multiple_of=2), 100)
    shapes = {batch["source"].shape for batch in found}
    assert len(shapes) == len({length for _, length in shapes})  # one shape a bucket
    rows = np.concatenate([batch["rows"] for batch in found])
    assert len(rows[rows >= 0]) == (most or held_out.num_rows)
    assert len(set(rows[rows >= 0])) == (most or held_out.num_rows)
    for batch in found:
        filler = batch["rows"] < 0
        assert len(filler) % 2 == 0
        assert not batch["segments"][filler].any()
        assert batch["source_segments"][filler].any(axis=1).all()
        real = held_out.rows(batch["rows"][~filler])
        for name, column in real.items():
            np.testing.assert_array_equal(batch[name][~filler], column)
