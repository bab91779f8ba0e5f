"""From its manifest alone, a checkpoint says which rows it has seen, and when."""

import numpy as np
import pytest

from llm_keras.data import order
from llm_keras.data.bucket_order import BucketOrder
from llm_keras.data.records import Bucket
from llm_keras.training import consumed

ROWS, BATCH, SEED = 21, 4, 7


def manifest(steps, skipped=(), **changes):
    rows = {
        "buckets": [[16, 0, ROWS]],
        "kind": "packed",
        "sequence_length": 16,
        "global_batch_size": BATCH,
        "multiple_of": 1,
        "seed": SEED,
        **changes,
    }
    return {"step": steps, "rows": rows, "divergence": {"skipped": skipped}}


def test_packed_rows_are_found_where_the_order_puts_them(monkeypatch):
    monkeypatch.setattr(consumed, "BLOCK", 16)
    found = consumed.steps_of_rows(manifest(13), range(ROWS))
    for row, steps in found.items():
        samples = order.row_at(np.arange(13 * BATCH), ROWS, SEED)
        assert steps == [int(place) // BATCH + 1 for place in np.flatnonzero(samples == row)]
    assert sum(map(len, found.values())) == 13 * BATCH
    assert consumed.steps_of_rows(manifest(0), [3]) == {3: []}


def test_skipped_steps_do_not_count():
    all_of_them = consumed.steps_of_rows(manifest(13), range(ROWS))
    found = consumed.steps_of_rows(manifest(13, [[2, 4], [13, 13]]), range(ROWS))
    left = {*range(1, 14)} - {2, 3, 4, 13}
    assert found == {row: [s for s in steps if s in left] for row, steps in all_of_them.items()}


def test_rows_of_pairs_are_found_in_their_buckets():
    buckets = [[8, 0, 5], [16, 5, 9]]
    made = manifest(9, kind="pairs", buckets=buckets, multiple_of=2)
    found = consumed.steps_of_rows(made, range(14))
    steps = BucketOrder([Bucket(*each) for each in buckets], BATCH * 16, SEED, 2)
    batches = [steps.batch(step).rows.tolist() for step in range(9)]
    for row, seen in found.items():
        assert seen == [s for s, rows in enumerate(batches, 1) for each in rows if each == row]


@pytest.mark.parametrize("kind", ["packed", "pairs"])
def test_an_epoch_has_every_row(kind):
    made = manifest(6, kind=kind)
    assert all(consumed.steps_of_rows(made, range(ROWS)).values())
