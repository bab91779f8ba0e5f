"""The network's cost of held-out rows, every target once.

Shapes: B rows, T sequence length, D hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from llm_keras import console
from llm_keras.data.input_pipeline import reader_errors, validation_batches
from llm_keras.data.records import RecordStore
from llm_keras.evaluation.score import Score

#: Columns that the decoder reads, all but their last token, and those that the encoder reads.
SHIFTED, WHOLE = ("tokens", "segments", "positions"), ("source", "source_segments")


def score(network: Any, store: RecordStore, batch_size: int) -> Score:
    """Scores all rows of `store`; the sum is float64, so that the batches do not show in it.

    A row is a window of T tokens: a document that goes on from the row before is predicted without
    what stands there, as in training.

    Args:
        network: Built, with its weights.
        store: The held-out rows.
        batch_size: Rows at once; the last batch is filled up with padding.

    Raises:
        UserError: A shard is damaged; names file and byte.
    """
    batch_nats = tf.function(  # pairs have several lengths
        _batch_nats, reduce_retracing=True, autograph=False
    )
    nats, targets, done = 0.0, 0, 0
    with (
        console.progress("evaluate", total=store.num_rows, unit="rows") as bar,
        reader_errors(store),
    ):
        for batch in validation_batches(store, batch_size):
            sums, counts = batch_nats(network, batch)
            nats, targets = nats + float(sums), targets + int(counts)
            done += int(tf.math.count_nonzero(batch["rows"] >= 0))
            bar.update(done)
    return Score(nats, targets, store.manifest.splits[store.split].bytes)


def _batch_nats(network: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    """Sum of -log p, float64 scalar, and number of targets, int64 scalar, of one batch."""
    segments = batch["segments"]
    is_target = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] != 0)
    if "answers" in batch:
        is_target &= batch["answers"][:, 1:] != 0
    hidden = network.hidden_states(_inputs(batch))

    def row_nats(row: tuple[Any, Any, Any]) -> Any:
        hidden, targets, wanted = row  # [T, D], [T], [T]
        logits = network.logits(hidden)  # float32 [T, V]
        cost = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(tf.boolean_mask(tf.cast(cost, tf.float64), wanted))

    # A row at a time: the logits [B, T, V] of a large vocabulary would not fit memory.
    nats = tf.map_fn(
        row_nats,
        (hidden, batch["tokens"][:, 1:], is_target),
        fn_output_signature=tf.float64,
        parallel_iterations=1,
    )
    return tf.reduce_sum(nats), tf.math.count_nonzero(is_target)


def _inputs(batch: dict[str, Any]) -> dict[str, Any]:
    shifted = {name: batch[name][:, :-1] for name in SHIFTED if name in batch}
    return {**shifted, **{name: batch[name] for name in WHOLE if name in batch}}
