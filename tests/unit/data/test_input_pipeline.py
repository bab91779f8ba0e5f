"""Batches: a function of (seed, step), the same for any split over workers."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.data import input_pipeline, order
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError


@pytest.fixture
def store(corpus):
    return RecordStore(corpus, "train")


def take(dataset, count):
    return [
        {name: column.numpy() for name, column in batch.items()} for batch in dataset.take(count)
    ]


def test_a_batch_is_the_rows_that_the_order_names(store):
    for step, batch in enumerate(
        take(input_pipeline.batches(store, global_batch_size=8, seed=3), 5)
    ):
        samples = step * 8 + np.arange(8)
        rows = store.rows(order.row_at(samples, store.num_rows, 3))
        np.testing.assert_array_equal(batch.pop("rows"), samples)
        for name, column in rows.items():
            np.testing.assert_array_equal(batch.pop(name), column)
        assert not batch


def test_shapes_and_types_are_static(store):
    dataset = input_pipeline.batches(store, global_batch_size=8, seed=0)
    columns = {name: tf.TensorSpec([8, 9], tf.int32) for name in input_pipeline.COLUMNS}
    assert dataset.element_spec == {**columns, "rows": tf.TensorSpec([8], tf.int64)}
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY


def test_two_passes_are_equal(store):
    dataset = input_pipeline.batches(store, global_batch_size=4, seed=0)
    for one, two in zip(take(dataset, 30), take(dataset, 30), strict=True):
        np.testing.assert_equal(one, two)


@pytest.mark.parametrize("start", [1, 7, 10_000_000])
def test_a_later_start_goes_on_where_an_earlier_one_would_be(store, start):
    from_before = input_pipeline.batches(store, global_batch_size=4, seed=0, start_step=start - 1)
    from_there = input_pipeline.batches(store, global_batch_size=4, seed=0, start_step=start)
    np.testing.assert_equal(take(from_before, 4)[1:], take(from_there, 3))


@pytest.mark.parametrize("start", [0, 10, 10_000_000])
def test_a_seek_reads_nothing_but_its_own_batches(store, start, monkeypatch):
    read = []
    rows = RecordStore.rows
    monkeypatch.setattr(
        RecordStore, "rows", lambda self, indices: read.append(len(indices)) or rows(self, indices)
    )
    take(input_pipeline.batches(store, global_batch_size=4, seed=0, start_step=start), 1)
    assert 1 <= len(read) <= 2 + input_pipeline.PREFETCH


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_parts_of_workers_make_up_the_batch(store, parts):
    whole = take(input_pipeline.batches(store, global_batch_size=8, seed=5, start_step=2), 3)
    split = [
        take(
            input_pipeline.batches(
                store, global_batch_size=8, seed=5, start_step=2, part=part, parts=parts
            ),
            3,
        )
        for part in range(parts)
    ]
    for step in range(3):
        for name, column in whole[step].items():
            joined = np.concatenate([worker[step][name] for worker in split])
            np.testing.assert_array_equal(joined, column)


@pytest.mark.parametrize(("part", "parts"), [(0, 3), (2, 2), (-1, 2)])
def test_parts_that_do_not_fit_are_refused(store, part, parts):
    with pytest.raises(UserError, match=f"part {part} of {parts}"):
        input_pipeline.batches(store, global_batch_size=8, seed=0, part=part, parts=parts)


def test_an_epoch_has_every_row_once(store):
    """Batches do not divide the rows: the epoch's border lies within a batch."""
    size = 8
    assert store.num_rows % size
    steps = -(-2 * store.num_rows // size)
    batches = take(input_pipeline.batches(store, global_batch_size=size, seed=0), steps)
    found = np.concatenate([batch["tokens"] for batch in batches])[: 2 * store.num_rows]
    every = store.rows(np.arange(store.num_rows))["tokens"]
    for epoch in (found[: store.num_rows], found[store.num_rows :]):
        assert sorted(epoch.tolist()) == sorted(every.tolist())


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_validation_has_every_row_once_and_pads_with_segment_0(store, batch_size):
    dataset = input_pipeline.validation_batches(store, batch_size)
    batches = take(dataset, 1000)
    assert len(batches) == dataset.cardinality() == -(-store.num_rows // batch_size)
    assert {batch["tokens"].shape for batch in batches} == {(batch_size, 9)}
    rows = np.concatenate([batch["rows"] for batch in batches])
    real = rows >= 0
    np.testing.assert_array_equal(rows[real], np.arange(store.num_rows))
    for name, column in store.rows(np.arange(store.num_rows)).items():
        found = np.concatenate([batch[name] for batch in batches])
        np.testing.assert_array_equal(found[real], column)
        assert not found[~real].any()


def test_the_parts_of_a_validation_make_up_its_batches(store):
    """Each reads its own rows alone; of the last batch one has nothing but padding."""
    whole = take(input_pipeline.validation_batches(store, 8, max_rows=11), 100)
    parts = [
        take(input_pipeline.validation_batches(store, 8, max_rows=11, part=part, parts=2), 100)
        for part in range(2)
    ]
    assert (parts[1][-1]["rows"] == -1).all()
    for number, batch in enumerate(whole):
        for name, column in batch.items():
            joined = np.concatenate([part[number][name] for part in parts])
            np.testing.assert_array_equal(joined, column, err_msg=name)


def test_a_short_validation_is_spread_over_the_split(store):
    batches = take(input_pipeline.validation_batches(store, 4, max_rows=10), 100)
    rows = np.concatenate([batch["rows"] for batch in batches])
    rows = rows[rows >= 0]
    assert len(rows) == 10
    assert np.diff(rows).min() >= store.num_rows // 10
    np.testing.assert_equal(
        batches, take(input_pipeline.validation_batches(store, 4, max_rows=10), 100)
    )


def test_a_reader_error_comes_out_as_itself(store, corpus):
    """tf.data wraps it in an error of its own, with a traceback as text."""
    (corpus / "train-00002-of-00003.tfrecord").unlink()
    dataset = input_pipeline.batches(store, global_batch_size=8, seed=0)
    with pytest.raises(tf.errors.OpError):
        take(dataset, 50)
    with pytest.raises(UserError) as caught, input_pipeline.reader_errors(store):
        take(dataset, 50)
    assert "train-00002-of-00003.tfrecord: cannot be read any more" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_reader_error_inside_fit_comes_out_as_itself(store, corpus):
    import keras

    inputs = keras.Input([9], dtype="int32", name="tokens")
    model = keras.Model(inputs, keras.layers.Embedding(300, 1)(inputs))
    model.compile("sgd", "mse")
    dataset = input_pipeline.batches(store, global_batch_size=8, seed=0).map(
        lambda batch: (batch["tokens"], batch["tokens"][..., None])
    )
    model.fit(dataset, steps_per_epoch=2, verbose=0, shuffle=False)
    (corpus / "train-00000-of-00003.tfrecord").unlink()
    with (
        pytest.raises(UserError, match=r"train-00000-of-00003\.tfrecord: cannot be read any more"),
        input_pipeline.reader_errors(store),
    ):
        model.fit(dataset, steps_per_epoch=50, verbose=0, shuffle=False)


def test_other_errors_of_tensorflow_stay_what_they_are(store):
    with pytest.raises(tf.errors.InvalidArgumentError), input_pipeline.reader_errors(store):
        tf.debugging.assert_equal(tf.constant(1), 2)
