"""`llm-keras inspect` on every kind of path, whole and damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_keras import config, run_file
from llm_keras.data import manifest as manifests
from llm_keras.data import packing
from llm_keras.data.document import write_json_lines
from llm_keras.data.manifest import Manifest, RecordLayout, Shard, SplitCounts
from llm_keras.errors import UserError
from llm_keras.inspection import inspect
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer, train_tokenizer

LENGTH = 8
TEXTS = ["peace and trade with all states", "war", "red \x1b[31m alert\nand a second line"]


@pytest.fixture(scope="module")
def run() -> config.Run:
    return config.Run.model_validate(
        {
            "purpose": "Write letters.",
            "corpus": {"sources": [{"name": "letters", "kind": "text", "path": "letters"}]},
            "tokenizer": {"vocabulary_size": 285},
            "records": {"sequence_length": LENGTH},
            "model": {
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 8,
                "num_query_heads": 2,
            },
            "training": {"total_steps": 300, "global_batch_size": 16},
        }
    )


@pytest.fixture
def folder(run: config.Run, tmp_path: Path) -> RunFolder:
    """A run up to its records."""
    folder = RunFolder(tmp_path / "letters")
    write_documents(folder.documents / "train-00000-of-00001.jsonl.gz", TEXTS)
    write_documents(
        folder.rejected / "rejected-00000-of-00001.jsonl.gz",
        ["too short"],
        reason="too_few_words",
        detail="2 < 50",
    )
    folder.run_file.write_text(run_file.dump(run))
    train_tokenizer(run, folder)
    write_records(folder)
    return folder


def write_documents(path: Path, texts: list[str], **more: str) -> None:
    path.parent.mkdir(parents=True)
    rows: Iterator[dict[str, Any]] = (
        {"id": f"letters:{i}", "text": text, "source": "letters", "url": None, **more}
        for i, text in enumerate(texts)
    )
    with path.open("wb") as file:
        write_json_lines(file, rows)


def write_records(folder: RunFolder) -> None:
    tokenizer = SentencePieceTokenizer(folder.tokenizer_model)
    layout = RecordLayout(LENGTH, tokenizer.vocabulary_size)
    ids = [np.array([2, *tokenizer.encode(text), 3]) for text in TEXTS]
    shards = []
    for number, documents in enumerate([ids[:1], ids[1:]]):
        (block,) = packing.pack(documents, LENGTH)
        content = layout.encode(block)
        name = f"train-{number:05}-of-00002.tfrecord"
        (folder.corpus / name).write_bytes(content)
        shards.append(
            Shard(
                file=name,
                split="train",
                rows=len(block["tokens"]),
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )
    counts = SplitCounts(
        rows=sum(shard.rows for shard in shards),
        tokens=sum(map(len, ids)),
        targets=0,
        documents=3,
        bytes=70,
        bytes_per_token=1.5,
    )
    manifests.write(
        Manifest(
            sequence_length=LENGTH,
            vocabulary_size=tokenizer.vocabulary_size,
            columns=layout.columns,
            record_bytes=layout.record_bytes,
            tokenizer_sha256=tokenizer.sha256,
            settings_hash="0" * 64,
            splits={"train": counts},
            shards=tuple(shards),
            sources={},
        ),
        folder.corpus,
    )


def seen(path: Path, **window: int) -> str:
    return "\n".join(inspect(path, **window))


def test_run_says_how_far_each_stage_is(folder: RunFolder) -> None:
    lines = seen(folder.root)
    assert "letters: Write letters." in lines
    assert "curate     not yet" in lines
    assert "tokenizer  bpe, 285 pieces" in lines
    assert "train rows" in lines
    assert "train      not yet" in lines
    folder.metrics.write_text('{"step": 20, "loss": 4.25}\n')
    (folder.checkpoints / "step-00000020").mkdir(parents=True)
    assert "step 20 of 300, loss 4.250; checkpoints step-00000020" in seen(folder.root)


def test_documents_are_shortened_and_cannot_steer_the_terminal(folder: RunFolder) -> None:
    """The window is honoured; escape sequences and line feeds are spelled out."""
    lines = seen(folder.documents, offset=1, limit=2)
    assert "1. id" not in lines
    assert "2. id letters:1, source letters\n   3 bytes: war" in lines
    assert r"red \x1b[31m alert⏎and a second line" in lines
    assert "\x1b" not in lines
    file = next(folder.documents.iterdir())
    assert seen(file, limit=1).splitlines()[1:] == [
        "1. id letters:0, source letters",
        f"   31 bytes: {TEXTS[0]}",
    ]


def test_rejected_documents_show_their_reason(folder: RunFolder) -> None:
    assert "reason too_few_words, detail 2 < 50" in seen(folder.rejected)


def test_window_beyond_the_end(folder: RunFolder) -> None:
    assert "none" in seen(folder.documents, offset=10)
    assert "there are" in seen(folder.corpus / "train-00000-of-00002.tfrecord", offset=1000)


def test_damaged_documents(folder: RunFolder) -> None:
    """A file cut in the middle is an error that names it."""
    file = next(folder.documents.iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"train-00000-of-00001.jsonl.gz: damaged \(EOFError\)"):
        seen(file)


def test_corpus_lists_its_shards(folder: RunFolder) -> None:
    lines = seen(folder.corpus, limit=1)
    assert "rows of 8 + 1 tokens, vocabulary 285" in lines
    assert "train: 3 documents, 70 bytes" in lines
    assert "shards 1 to 1 of 2 (--offset 1 for more)" in lines
    assert "train-00000-of-00002.tfrecord" in lines
    assert "train-00001" not in lines


def test_records_are_decoded(folder: RunFolder) -> None:
    """The rows of a shard, put together again, are the text of its documents."""
    lines = seen(folder.corpus / "train-00001-of-00002.tfrecord", limit=100)
    assert "rows 1 to" in lines
    first = lines.splitlines()[1:4]
    assert first[0] == "row 1: 9 tokens, 2 segments, 0 padding"
    assert first[1].endswith("tokens: war")
    assert first[2].split("tokens: ")[1] in TEXTS[2]


def test_records_of_another_tokenizer_show_ids(folder: RunFolder) -> None:
    """A tokenizer that the records were not made with would decode nonsense: it is left out."""
    folder.tokenizer_model.unlink()
    lines = seen(folder.corpus / "train-00001-of-00002.tfrecord", limit=1)
    assert "token ids instead of text" in lines
    assert "tokens: 2 " in lines


def test_damaged_record(folder: RunFolder) -> None:
    path = folder.corpus / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train-00001-of-00002\.tfrecord: record 0 at byte 0"):
        seen(path)


def test_tokenizer_shows_pieces(folder: RunFolder) -> None:
    lines = seen(folder.tokenizer_model, offset=2, limit=3)
    assert SentencePieceTokenizer(folder.tokenizer_model).sha256 in lines
    assert "pieces 3 to 5 of 285" in lines
    assert "  4: <0x00>" in lines


def test_checkpoints(folder: RunFolder) -> None:
    """Newest first, each verified; one shows its variables with what a person looks for."""
    from llm_keras.training import checkpoint_files

    weights = {"0000:model/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
    slots = {"0000:adam/m": np.array([1.0, np.nan], np.float32)}
    for step in (100, 200):
        parts = {"network": weights, "optimizer": slots}
        checkpoint_files.save(folder.checkpoints, step, parts, {"data": "abc"})
    damaged = folder.checkpoints / "step-00000100" / "network.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    listed = seen(folder.checkpoints).splitlines()
    assert listed[0] == "checkpoints 1 to 2 of 2"
    assert "step-00000200" in listed[1]
    assert "hashes fit" in listed[1]
    assert "step-00000100: damaged: network.safetensors does not have the SHA-256" in listed[2]
    one = seen(folder.checkpoints / "step-00000200")
    assert "step 200, hashes fit" in one
    assert "data: abc" in one
    assert "network 0000:model/kernel: 2 x 3, float32, mean 2.5, standard deviation 1.71" in one
    assert "optimizer 0000:adam/m: 2, float32, 1 NOT FINITE" in one
    with pytest.raises(UserError, match=r"network\.safetensors does not have the SHA-256"):
        seen(damaged.parent)


def test_export(tmp_path: Path) -> None:
    """Signatures, inputs and outputs, read from the file without running the model."""
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(
        lambda text: {"length": tf.strings.length(text), "text": text},
        input_signature=[tf.TensorSpec([None], tf.string, "text")],
    )
    version = tmp_path / "export" / "7"
    tf.saved_model.save(module, str(version), signatures={"serving_default": module.serve})
    extra = version / "assets.extra"
    extra.mkdir()
    (extra / "llm_keras.json").write_text(json.dumps({"step": 300, "purpose": "Write \x1b"}))
    lines = seen(version)
    assert "step: 300" in lines
    assert r"purpose: Write \x1b" in lines
    assert "signatures 1 to 1 of 1" in lines
    assert "in:  text string[?]" in lines
    assert "out: length int32[?], text string[?]" in lines
    assert "versions 1 to 1 of 1\n  7: " in seen(tmp_path / "export")
    (version / "saved_model.pb").write_bytes(b"\xff" * 10)
    with pytest.raises(UserError, match="no SavedModel, or a damaged one"):
        seen(version)


@pytest.mark.parametrize("name", ["unknown.txt", "empty"])
def test_other_paths_are_told_what_can_be_inspected(tmp_path: Path, name: str) -> None:
    (tmp_path / "unknown.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"{name}: not a part of a run; inspect a run's folder"):
        seen(tmp_path / name)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or folder; inspect"):
        seen(tmp_path / "nowhere")


@pytest.mark.parametrize("window", [{"limit": 0}, {"offset": -1}])
def test_window_must_be_sensible(folder: RunFolder, window: dict[str, int]) -> None:
    with pytest.raises(UserError, match="expected a limit of at least 1"):
        seen(folder.root, **window)


def test_rows_of_a_checkpoint(folder: RunFolder) -> None:
    """By which hashes its data is known, what it left out, and when it saw a row."""
    from llm_keras.training import checkpoint_files

    rows = {
        "manifest_sha256": "e" * 64,
        "buckets": [[8, 0, 5]],
        "kind": "packed",
        "sequence_length": 8,
        "global_batch_size": 5,
        "multiple_of": 1,
        "seed": 0,
    }
    facts = {
        "data": {"corpus": "c" * 64},
        "rows": rows,
        "divergence": {"skipped": [[2, 2], [4, 6]], "in_a_row": 0, "losses": []},
    }
    parts = {"network": {"a": np.zeros(2, "float32")}}
    checkpoint = checkpoint_files.save(folder.checkpoints, 7, parts, facts)
    told = seen(checkpoint)
    assert f"corpus: {'c' * 64}" in told
    assert f"corpus/manifest.json: {'e' * 64}" in told
    assert "rows: 5 (--row N" in told
    assert "steps that are not in it: 2, 4-6" in told
    lines = list(inspect(checkpoint, rows=[0, 3]))
    assert lines[1:] == ["  row 0: seen in steps 1, 3, 7", "  row 3: seen in steps 1, 3, 7"]
    with pytest.raises(UserError, match="there is no row 5; the corpus had 5"):
        list(inspect(checkpoint, rows=[5]))
    with pytest.raises(UserError, match="--row asks a checkpoint"):
        list(inspect(folder.checkpoints, rows=[1]))
    imported = checkpoint_files.save(folder.checkpoints, 0, parts, {})
    with pytest.raises(UserError, match="it has imported weights"):
        list(inspect(imported, rows=[1]))
