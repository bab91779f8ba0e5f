"""Which rows a checkpoint has learnt from: its manifest alone tells, without the corpus.

Which rows a step has is a function of the seed and the step, see `data.order` and
`data.bucket_order`; so all that must be kept is what that function is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from llm_keras import config, files
from llm_keras.data import manifest as manifests
from llm_keras.data import order
from llm_keras.data.bucket_order import BucketOrder
from llm_keras.data.records import Bucket, RecordStore
from llm_keras.training import resume

#: Samples looked at together.
BLOCK = 1 << 20

Manifest = Mapping[str, Any]


def facts(run: config.Run, store: RecordStore) -> dict[str, Any]:
    """What a checkpoint's manifest keeps about its rows.

    Returns:
        `manifest_sha256`: of corpus/manifest.json; `buckets`: length, number of the first row and
        rows of each size of row; and what the order is made from.
    """
    return {
        "manifest_sha256": files.sha256(store.corpus / manifests.FILE_NAME),
        "buckets": [list(bucket) for bucket in store.buckets],
        "kind": "pairs" if store.manifest.kind == "pairs" else "packed",
        "sequence_length": store.sequence_length,
        "global_batch_size": run.training.global_batch_size,
        "multiple_of": resume.batch_multiple(run.training),
        "seed": run.seed,
    }


def skipped(manifest: Manifest) -> list[tuple[int, int]]:
    """First and last step of each stretch whose updates are not in the weights."""
    return [(a, b) for a, b in manifest.get("divergence", {}).get("skipped", ())]


def steps_of_rows(manifest: Manifest, rows: Sequence[int]) -> dict[int, list[int]]:
    """The steps whose updates are in a checkpoint's weights and that had certain rows.

    Args:
        manifest: The checkpoint's.
        rows: Numbers of rows of the training split.

    Returns:
        Row -> its steps, the first step being 1; empty where the weights never saw it.
    """
    found: dict[int, list[int]] = {row: [] for row in rows}
    wanted = np.array(sorted(found), np.int64)
    stretches = skipped(manifest)
    for steps, read in _read(manifest):
        for place in np.flatnonzero(np.isin(read, wanted)):
            step = int(steps[place])
            if not any(first <= step <= last for first, last in stretches):
                found[int(read[place])].append(step)
    return found


def _read(manifest: Manifest) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Steps and the rows they had, int64 of one length, in order and in blocks."""
    made, last = manifest["rows"], int(manifest["step"])
    batch, seed = made["global_batch_size"], made["seed"]
    buckets = [Bucket(*bucket) for bucket in made["buckets"]]
    if made["kind"] == "pairs":
        tokens = batch * made["sequence_length"]
        batches = BucketOrder(buckets, tokens, seed, made["multiple_of"])
        for step in range(last):
            rows = batches.batch(step).rows
            yield np.full(len(rows), step + 1), rows
        return
    for start in range(0, last * batch, BLOCK):
        samples = np.arange(start, min(start + BLOCK, last * batch))
        yield samples // batch + 1, order.row_at(samples, buckets[0].num_rows, seed)
