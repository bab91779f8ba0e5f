"""Pairs and answers through the tokenize stage: rows by length, counted, on any workers."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from llm_keras.config import Run
from llm_keras.data import manifest as manifests
from llm_keras.data.document import document_files, read_documents
from llm_keras.data.records import RecordStore
from llm_keras.errors import UserError
from llm_keras.inspection.corpus import show_corpus, show_records
from llm_keras.inspection.window import Window
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import load, sample, train_tokenizer
from pipelines.curate import curate
from pipelines.tokenize import tokenize

BIBLE = Path("examples/data/bible_en_es").absolute()
BUCKETS = (32, 48, 64)


def settings(kind="encoder_decoder", **records):
    shape = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16, "num_query_heads": 2}
    source = {"name": "bible", "kind": "parallel", "language": "en"}
    source |= {"path": str(BIBLE / "en"), "target_path": str(BIBLE / "es")}
    return Run.model_validate(
        {
            "corpus": {
                "sources": [source],
                "language": None,
                "length": None,
                "repetition": None,
                "validation_subsets": ["Ruth", "Jonah"],
            },
            "tokenizer": {"vocabulary_size": 700},
            "records": {"sequence_length": 64, "shards": 2} | records,
            "model": {"kind": kind} | shape,
            "training": {"total_steps": 200, "global_batch_size": 2},
        }
    )


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("curated"))
    curate(settings(), folder)
    train_tokenizer(settings(), folder)
    return folder


@pytest.fixture(scope="module")
def documents(curated):
    """Split -> its documents."""
    found = {}
    for split in ("train", "validation"):
        files = document_files(curated.documents, split)
        found[split] = [each for file in files for each in read_documents(file)]
    return found


@pytest.fixture
def ready(curated, tmp_path):
    shutil.copytree(curated.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="module")
def finished(curated, tmp_path_factory):
    root = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(curated.root, root)
    tokenize(settings(buckets=BUCKETS), RunFolder(root))
    return RunFolder(root)


def texts_of(store, tokenizer):
    """(source text, target text) of every row."""
    for bucket in store.buckets:
        rows = store.rows(bucket.first + np.arange(bucket.num_rows))
        for place in range(bucket.num_rows):
            source = rows["source"][place][rows["source_segments"][place] > 0].tolist()
            target = rows["tokens"][place][rows["segments"][place] > 0].tolist()
            assert source[-1] == target[-1] == tokenizer.eos_id
            assert target[0] == tokenizer.bos_id
            yield tokenizer.decode(source[:-1]), tokenizer.decode(target[1:-1])


def test_every_pair_is_there_once_or_counted_as_too_long(finished, documents):
    tokenizer = load(finished.tokenizer_model)
    manifest = manifests.read(finished.corpus)
    for split, chosen in documents.items():
        store = RecordStore(finished.corpus, split, tokenizer.sha256, verify=True)
        fitting = [
            (each.text, each.target)
            for each in chosen
            if len(tokenizer.encode(each.text)) + 1 <= 64
            and len(tokenizer.encode(each.target)) + 1 <= 64
        ]
        assert sorted(texts_of(store, tokenizer)) == sorted(fitting)
        counts = manifest.splits[split]
        assert counts.rows == counts.documents == len(fitting)
        assert counts.dropped == {"too_long": len(chosen) - len(fitting)}
        assert len(fitting) < len(chosen)
    assert manifest.sources["bible"].documents == sum(
        counts.documents for counts in manifest.splits.values()
    )


def test_a_pair_lies_in_the_shortest_bucket_that_holds_it(finished):
    store = RecordStore(finished.corpus, "train")
    assert [bucket.length for bucket in store.buckets] == list(BUCKETS)
    for shorter, bucket in itertools.pairwise(store.buckets):
        rows = store.rows(bucket.first + np.arange(bucket.num_rows))
        source, target = (rows[name].sum(axis=1) for name in ("source_segments", "segments"))
        assert (np.maximum(source, target - 1) > shorter.length).all()


def test_the_manifest_counts_what_is_predicted(finished):
    manifest = manifests.read(finished.corpus)
    for split, counts in manifest.splits.items():
        store = RecordStore(finished.corpus, split)
        tokens = source = 0
        for bucket in store.buckets:
            rows = store.rows(bucket.first + np.arange(bucket.num_rows))
            tokens += int(rows["segments"].sum())
            source += int(rows["source_segments"].sum())
        assert (counts.tokens, counts.source_tokens) == (tokens, source)
        assert counts.targets == tokens - counts.documents
        pairs = texts_of(store, load(finished.tokenizer_model))
        assert counts.bytes == sum(len(target.encode()) for _, target in pairs)
        assert [bucket.rows[split] for bucket in manifest.buckets] == [
            bucket.num_rows for bucket in store.buckets
        ]


@pytest.mark.parametrize("workers", [2, 4])
def test_more_workers_write_the_same_bytes(ready, finished, hashes, workers):
    tokenize(settings(buckets=BUCKETS, workers=workers), ready)
    assert hashes(ready) == hashes(finished)


def test_without_buckets_in_the_run_file_they_rise_by_half(ready):
    tokenize(settings(), ready)
    lengths = [bucket.length for bucket in manifests.read(ready.corpus).buckets]
    assert lengths == [16, 24, 40, 64]
    files = {path.name for path in ready.corpus.glob("*.tfrecord")}
    assert "train-b00064-00000-of-00002.tfrecord" in files
    assert len(files) == 4 * 2 + 4
    plain = settings(kind="causal_lm")
    tokenize(plain, ready)
    assert not list(ready.corpus.glob("*-b*.tfrecord"))


def test_no_pair_that_fits_is_one_line(ready):
    with pytest.raises(UserError) as caught:
        tokenize(settings(sequence_length=4), ready)
    assert "no pair that fits records.sequence_length 4, and 390 that are longer" in str(
        caught.value
    )
    assert not ready.manifest.exists()


def test_answers_are_marked_in_packed_rows(ready, documents):
    tokenizer = load(ready.tokenizer_model)
    tokenize(settings(kind="causal_lm"), ready)
    manifest = manifests.read(ready.corpus)
    assert manifest.kind == "answers"
    for split, chosen in documents.items():
        store, counts = RecordStore(ready.corpus, split, verify=True), manifest.splits[split]
        expected = {
            (2, *tokenizer.encode(each.text), *tokenizer.encode(each.target), 3) for each in chosen
        }
        assert {tuple(ids.tolist()) for ids in store.documents()} == expected
        rows = store.rows(np.arange(store.num_rows))
        same = rows["segments"][:, 1:] == rows["segments"][:, :-1]
        predicted = same & (rows["answers"][:, 1:] > 0)
        answers = [len(tokenizer.encode(each.target)) + 1 for each in chosen]
        assert counts.targets == predicted.sum() == sum(answers)
        assert counts.bytes == sum(len(each.target.encode()) for each in chosen)


def test_the_tokenizer_learns_both_sides(curated, documents):
    texts = {text for _, text in sample.read_texts(curated.documents)}
    assert texts == {side for each in documents["train"] for side in (each.text, each.target)}
    about = json.loads(curated.tokenizer_about.read_text())
    assert about["sample"]["documents"] == 2 * len(documents["train"])


def test_inspect_shows_both_sides_and_what_was_dropped(finished):
    path = finished.corpus / "train-b00032-00000-of-00002.tfrecord"
    store, tokenizer = RecordStore(finished.corpus, "train"), load(finished.tokenizer_model)
    source, target = next(texts_of(store, tokenizer))
    said = list(show_records(path, Window(0, 1)))
    assert said[2].endswith(f"tokens: {source}")
    assert said[3].endswith(f"tokens: {target}")
    totals = "\n".join(show_corpus(finished.corpus, Window(0, 5)))
    dropped = manifests.read(finished.corpus).splits["train"].dropped["too_long"]
    assert f", {dropped} too_long" in totals
    assert "pairs of up to 48 tokens: train " in totals
