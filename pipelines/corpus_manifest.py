"""What the tokenize stage made: the manifest of its shards, and whether they can be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_keras import config
from llm_keras.data import manifest as manifests
from llm_keras.data.document import Split
from llm_keras.data.manifest import Manifest
from llm_keras.errors import UserError
from llm_keras.tokenizers import Tokenizer
from pipelines.counts import Counts
from pipelines.row_format import RowFormat


def describe(
    run: config.Run,
    tokenizer: Tokenizer,
    rows: RowFormat,
    splits: Sequence[Split],
    counts: Counts,
    curation_hash: str | None = None,
) -> Manifest:
    """Makes the manifest from the counts that `write_records` gives for each shard.

    Args:
        run: The settings.
        tokenizer: That the ids are of.
        rows: What the rows are.
        splits: Those that there are.
        counts: Sums over all shards.
        curation_hash: Of the settings that the documents were curated with.
    """
    layout = rows.layout()
    settings = {
        "seed": run.seed,
        "tokenizer": tokenizer.sha256,
        **run.records.model_dump(mode="json", exclude={"workers"}),
    }
    return Manifest.model_validate(
        {
            "sequence_length": rows.sequence_length,
            "vocabulary_size": tokenizer.vocabulary_size,
            "columns": layout.columns,
            "record_bytes": layout.record_bytes,
            "packing": rows.packing,
            "tokenizer_sha256": tokenizer.sha256,
            "settings_hash": manifests.settings_hash(settings),
            "curation_hash": curation_hash,
            **totals(rows, splits, counts),
        }
    )


def totals(rows: RowFormat, splits: Sequence[Split], counts: Counts) -> dict[str, Any]:
    """The parts of a manifest that follow from counts."""
    shards = counts["shards"]
    return {
        "splits": {split: _split(split, rows, counts) for split in splits},
        "shards": [
            {"file": name, "split": name.partition("-")[0], **shards[name]}
            for name in sorted(shards)
        ],
        "sources": _there(counts.get("sources", {})),
        "licences": _there(counts.get("licences", {})),
        "buckets": [_bucket(length, rows, splits, shards) for length in rows.buckets],
    }


def counts_of(manifest: Manifest) -> Counts:
    """The counts that a manifest was made from: the inverse of `totals`."""
    derived = {"rows", "bytes_per_token", "padding"}
    return {
        "splits": {
            split: part.model_dump(exclude=derived) for split, part in manifest.splits.items()
        },
        "shards": {
            shard.file: shard.model_dump(exclude={"file", "split"}) for shard in manifest.shards
        },
        "sources": {name: part.model_dump() for name, part in manifest.sources.items()},
        "licences": {name: part.model_dump() for name, part in manifest.licences.items()},
    }


def _there(counts: Counts) -> Counts:
    """Without the names of which no document is left."""
    return {name: counted for name, counted in counts.items() if counted["documents"]}


def _bucket(
    length: int, rows: RowFormat, splits: Sequence[Split], shards: Counts
) -> dict[str, Any]:
    def count(split: Split) -> int:
        start = f"{split}-b{length:05d}-"
        return sum(shard["rows"] for name, shard in shards.items() if name.startswith(start))

    return {
        "length": length,
        "record_bytes": rows.layout(length).record_bytes,
        "rows": {split: count(split) for split in splits},
    }


def _split(split: Split, rows: RowFormat, counts: Counts) -> dict[str, Any]:
    nothing = {"tokens": 0, "targets": 0, "documents": 0, "bytes": 0}
    total = nothing | counts.get("splits", {}).get(split, {})
    of_split = {
        name: shard for name, shard in counts["shards"].items() if name.startswith(f"{split}-")
    }
    places = sum(shard["rows"] * _places(rows, name) for name, shard in of_split.items())
    padding = sum(shard["padding"] for shard in of_split.values())
    text_tokens = total["targets"] - total["documents"]
    return {
        **total,
        "rows": sum(shard["rows"] for shard in of_split.values()),
        "bytes_per_token": round(total["bytes"] / max(1, text_tokens), 4),
        "padding": round(padding / max(1, places), 6),
    }


def _places(rows: RowFormat, file: str) -> int:
    """Tokens that a row of a file has room for."""
    widths = rows.layout_of(file).widths
    return widths["tokens"] + widths.get("source", 0)


def check(manifest: Manifest) -> None:
    """Refuses a corpus that nothing can be trained or validated on.

    Raises:
        UserError: A split, other than the test split, does not fill one row.
    """
    for split, counts in manifest.splits.items():
        if split == "test":
            continue
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
