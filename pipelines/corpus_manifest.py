"""What the tokenize stage made: the manifest of its shards, and whether they can be used."""

from __future__ import annotations

from typing import Any

from llm_keras import config
from llm_keras.data import manifest as manifests
from llm_keras.data.document import SPLITS, Split
from llm_keras.data.manifest import Manifest
from llm_keras.errors import UserError
from llm_keras.tokenizers import Tokenizer
from pipelines.counts import Counts
from pipelines.row_format import RowFormat


def describe(run: config.Run, tokenizer: Tokenizer, rows: RowFormat, counts: Counts) -> Manifest:
    """Makes the manifest from the counts that `write_records` gives for each shard."""
    layout = rows.layout()
    settings = {
        "seed": run.seed,
        "tokenizer": tokenizer.sha256,
        **run.records.model_dump(mode="json", exclude={"workers"}),
    }
    shards = counts["shards"]
    return Manifest.model_validate(
        {
            "sequence_length": rows.sequence_length,
            "vocabulary_size": tokenizer.vocabulary_size,
            "columns": layout.columns,
            "record_bytes": layout.record_bytes,
            "tokenizer_sha256": tokenizer.sha256,
            "settings_hash": manifests.settings_hash(settings),
            "splits": {split: _split(split, counts) for split in SPLITS},
            "shards": [
                {"file": name, "split": name.partition("-")[0], **shards[name]}
                for name in sorted(shards)
            ],
            "sources": counts.get("sources", {}),
            "buckets": [_bucket(length, rows, shards) for length in rows.buckets],
        }
    )


def _bucket(length: int, rows: RowFormat, shards: Counts) -> dict[str, Any]:
    def count(split: Split) -> int:
        start = f"{split}-b{length:05d}-"
        return sum(shard["rows"] for name, shard in shards.items() if name.startswith(start))

    return {
        "length": length,
        "record_bytes": rows.layout(length).record_bytes,
        "rows": {split: count(split) for split in SPLITS},
    }


def _split(split: Split, counts: Counts) -> dict[str, Any]:
    nothing = {"tokens": 0, "targets": 0, "documents": 0, "bytes": 0}
    total = nothing | counts.get("splits", {}).get(split, {})
    of_split = [shard for name, shard in counts["shards"].items() if name.startswith(f"{split}-")]
    text_tokens = total["targets"] - total["documents"]
    return {
        **total,
        "rows": sum(shard["rows"] for shard in of_split),
        "bytes_per_token": round(total["bytes"] / max(1, text_tokens), 4),
    }


def check(manifest: Manifest) -> None:
    """Refuses a corpus that nothing can be trained or validated on.

    Raises:
        UserError: A split does not fill one row.
    """
    for split, counts in manifest.splits.items():
        if manifest.kind == "pairs":
            _check_pairs(manifest, split)
        elif counts.tokens <= manifest.sequence_length:
            raise UserError(
                f"corpus: the {split} split has {counts.tokens} tokens, but one row of"
                f" records.sequence_length {manifest.sequence_length} takes"
                f" {manifest.sequence_length + 1}; add documents, change"
                " corpus.validation_fraction, or lower records.sequence_length"
            )


def _check_pairs(manifest: Manifest, split: Split) -> None:
    counts = manifest.splits[split]
    if not counts.rows:
        raise UserError(
            f"corpus: the {split} split has no pair that fits records.sequence_length"
            f" {manifest.sequence_length}, and {sum(counts.dropped.values())} that are longer;"
            " raise it, or give the corpus shorter pairs"
        )
