"""Stage `evaluate` on a small corpus: every target once, whatever the batches."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from llm_keras import config, models
from llm_keras.data import manifest as manifests
from llm_keras.data import packing
from llm_keras.data.manifest import Manifest, Shard, SplitCounts
from llm_keras.data.records import RecordStore
from llm_keras.errors import DivergedError, UserError
from llm_keras.evaluation import evaluate, perplexity
from llm_keras.evaluation.baselines import baseline_scores
from llm_keras.evaluation.ngram import KneserNey
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer, train_tokenizer

from .conftest import document, write_documents

LENGTH = 16
WORDS = [
    "we",
    "the",
    "people",
    "of",
    "these",
    "states",
    "report",
    "to",
    "congress",
    "on",
    "war",
    "peace",
    "trade",
    "and",
    "money",
]


def texts(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(3, 25))) for _ in range(count)]


def write_corpus(
    corpus: Path, tokenizer: SentencePieceTokenizer, splits: Mapping[str, Sequence[str]]
) -> None:
    """Two shards a split, as the stage `tokenize` leaves them."""
    shards, counts = [], {}
    for split, split_texts in splits.items():
        ids = [np.array([2, *tokenizer.encode(text), 3]) for text in split_texts]
        rows = 0
        for number in range(2):
            blocks = list(packing.pack(ids[number::2], LENGTH))
            layout = manifests.RecordLayout(LENGTH, tokenizer.vocabulary_size)
            content = b"".join(layout.encode(block) for block in blocks)
            name = f"{split}-{number:05}-of-00002.tfrecord"
            (corpus / name).write_bytes(content)
            shard_rows = sum(len(block["tokens"]) for block in blocks)
            digest = hashlib.sha256(content).hexdigest()
            shards.append(
                Shard(file=name, split=split, rows=shard_rows, bytes=len(content), sha256=digest)
            )
            rows += shard_rows
        tokens = sum(map(len, ids))
        counts[split] = SplitCounts(
            rows=rows,
            tokens=tokens,
            targets=tokens - len(ids),
            documents=len(ids),
            bytes=sum(len(text.encode()) for text in split_texts),
            bytes_per_token=3.0,
        )
    manifest = Manifest(
        sequence_length=LENGTH,
        vocabulary_size=tokenizer.vocabulary_size,
        columns=layout.columns,
        record_bytes=layout.record_bytes,
        tokenizer_sha256=tokenizer.sha256,
        settings_hash="0" * 64,
        splits=counts,
        shards=tuple(shards),
        sources={},
    )
    manifests.write(manifest, corpus)


@pytest.fixture(scope="module")
def small_run() -> config.Run:
    """A model wide enough that its predictions differ."""
    return config.Run.model_validate(
        {
            "corpus": {"sources": [{"name": "letters", "kind": "text", "path": "letters"}]},
            "tokenizer": {"vocabulary_size": 290},
            "records": {"sequence_length": LENGTH},
            "model": {
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 16,
                "num_query_heads": 2,
                "initializer_range": 0.5,
            },
            "training": {"total_steps": 300, "global_batch_size": 16},
            "evaluation": {"prompts": ["we the people"], "batch_size": 4},
            "generation": {"max_new_tokens": 4},
        }
    )


@pytest.fixture(scope="module")
def network(small_run: config.Run) -> models.CausalLM:
    return models.build(small_run)


@pytest.fixture(scope="module")
def finished(small_run: config.Run, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A tokenized corpus of 40 and 9 documents; not to be changed."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    training, held_out = texts(0, 40), texts(1, 9)
    write_documents(
        folder.documents / "train-00000-of-00001.jsonl.gz",
        [document(text, id=f"letters:{i}") for i, text in enumerate(training)],
    )
    train_tokenizer(small_run, folder)
    tokenizer = SentencePieceTokenizer(folder.tokenizer_model)
    write_corpus(folder.corpus, tokenizer, {"train": training, "validation": held_out})
    return folder


@pytest.fixture
def folder(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it to work in."""
    return RunFolder(shutil.copytree(finished.root, tmp_path / "run"))


@pytest.fixture(scope="module")
def brute_force(network: models.CausalLM, finished: RunFolder) -> tuple[float, int]:
    """Each document's piece of each row in a row of its own; its softmax in float64 NumPy."""
    store = RecordStore(finished.corpus, "validation")
    rows = store.rows(np.arange(store.num_rows))
    pieces = [
        tokens[segments == segment]
        for tokens, segments in zip(rows["tokens"], rows["segments"], strict=True)
        for segment in range(1, segments.max() + 1)
    ]
    inputs = np.stack([np.pad(piece, (0, LENGTH + 1 - len(piece))) for piece in pieces])
    logits = network({"tokens": inputs[:, :-1]}).numpy().astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    nats = sum(
        -row[np.arange(len(piece) - 1), piece[1:]].sum()
        for row, piece in zip(log_p, pieces, strict=True)
    )
    return nats, sum(len(piece) - 1 for piece in pieces)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_score_equals_brute_force(
    network: models.CausalLM,
    finished: RunFolder,
    brute_force: tuple[float, int],
    batch_size: int,
) -> None:
    """Packed, batched and padded as it likes, the score is the sum over single documents."""
    store = RecordStore(finished.corpus, "validation")
    nats, targets = brute_force
    counts = store.manifest.splits["validation"]
    assert store.num_rows % 4  # the last batch is padded
    found = perplexity.score(network, store, batch_size)
    assert found.nats == pytest.approx(nats, rel=1e-6)
    assert found.targets == targets == counts.targets
    assert found.cross_entropy == pytest.approx(nats / targets, rel=1e-6)
    assert found.perplexity == pytest.approx(np.exp(nats / targets), rel=1e-5)
    assert found.bits_per_byte == pytest.approx(nats / np.log(2) / counts.bytes, rel=1e-6)


def test_baselines_score_the_targets_of_the_network(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebuilt from the rows in chunks, they are the n-gram models of the documents themselves."""
    tokenizer = SentencePieceTokenizer(finished.tokenizer_model)
    streams = [
        np.concatenate([[2, *tokenizer.encode(text), 3] for text in split])
        for split in (texts(0, 40), texts(1, 9))
    ]
    monkeypatch.setattr("llm_keras.evaluation.baselines.CHUNK_TOKENS", 50)
    stores = [RecordStore(finished.corpus, split) for split in ("train", "validation")]
    found = baseline_scores(*stores, bos_id=2, eos_id=3, maximum_tokens=10**9)
    assert list(found) == ["unigram", "bigram", "trigram"]
    for order, score in enumerate(found.values(), 1):
        model = KneserNey(streams[0], order=order, vocabulary_size=290, bos_id=2)
        expected = model.log_probabilities(streams[1])
        assert score.nats == pytest.approx(-expected.sum(), rel=1e-9)
        assert score.targets == len(expected)
    assert found["trigram"].perplexity < found["bigram"].perplexity < found["unigram"].perplexity


def test_baselines_count_no_more_than_asked(finished: RunFolder) -> None:
    """A cap on the tokens counts fewer documents, and the baselines are worse for it."""
    stores = [RecordStore(finished.corpus, split) for split in ("train", "validation")]
    whole = baseline_scores(*stores, bos_id=2, eos_id=3, maximum_tokens=10**9)
    capped = baseline_scores(*stores, bos_id=2, eos_id=3, maximum_tokens=100)
    assert capped["bigram"].perplexity > 1.05 * whole["bigram"].perplexity


def test_evaluation_file(
    small_run: config.Run,
    network: models.CausalLM,
    folder: RunFolder,
    brute_force: tuple[float, int],
) -> None:
    """evaluation.json has the figures by their names, the baselines and the samples."""
    evaluate(small_run, folder, network, step=7)
    found = json.loads(folder.evaluation.read_text())
    nats, targets = brute_force
    text_bytes = sum(len(text.encode()) for text in texts(1, 9))
    assert found["step"] == 7
    assert found["split"] == "validation"
    assert found["parameters"] == network.count_params()
    assert (found["targets"], found["bytes"]) == (targets, text_bytes)
    assert found["cross_entropy"] == pytest.approx(nats / targets, rel=1e-6)
    assert found["perplexity"] == pytest.approx(np.exp(nats / targets), rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(nats / np.log(2) / text_bytes, rel=1e-6)
    assert set(found["baselines"]) == {"unigram", "bigram", "trigram"}
    assert set(found["baselines"]["bigram"]) == {"cross_entropy", "perplexity", "bits_per_byte"}
    assert [sample["prompt"] for sample in found["samples"]] == ["we the people"]
    assert not list(folder.root.glob("*.partial"))


def test_without_prompts_held_out_documents_begin_the_samples(
    small_run: config.Run, network: models.CausalLM, folder: RunFolder
) -> None:
    """The first words of two of them; a word that may not be whole is left out."""
    without = config.Run.model_validate({**small_run.model_dump(), "evaluation": {"batch_size": 4}})
    evaluate(without, folder, network, step=1)
    samples = json.loads(folder.evaluation.read_text())["samples"]
    assert len(samples) == 2
    for sample in samples:
        assert any(text.startswith(sample["prompt"]) for text in texts(1, 9))
        assert sample["prompt"]


def test_weights_that_are_no_numbers(small_run: config.Run, folder: RunFolder) -> None:
    """A network that diverged is an error that names the step; the earlier file stays."""
    folder.evaluation.write_text("earlier")
    network = models.build(small_run)
    gains = network.final_norm.weights[0]
    gains.assign(np.full(gains.shape, np.nan))
    with pytest.raises(DivergedError, match="step 9: the loss on held-out documents is nan"):
        evaluate(small_run, folder, network, step=9)
    assert folder.evaluation.read_text() == "earlier"


def test_prompt_longer_than_the_context(
    small_run: config.Run, network: models.CausalLM, folder: RunFolder
) -> None:
    long = {**small_run.model_dump(), "evaluation": {"prompts": ["congress " * LENGTH]}}
    with pytest.raises(UserError, match=f"the context of {LENGTH} tokens"):
        evaluate(config.Run.model_validate(long), folder, network, step=1)
    assert not folder.evaluation.exists()


def test_tokenizer_of_another_corpus(
    small_run: config.Run, network: models.CausalLM, folder: RunFolder
) -> None:
    """A tokenizer that the records were not made with is refused by its hash."""
    other = config.Run.model_validate(
        {**small_run.model_dump(), "tokenizer": {"vocabulary_size": 285}}
    )
    expected = SentencePieceTokenizer(folder.tokenizer_model).sha256
    train_tokenizer(other, folder)
    found = SentencePieceTokenizer(folder.tokenizer_model).sha256
    assert found != expected
    with pytest.raises(UserError, match=f"tokenizer {expected}, but the tokenizer here is {found}"):
        evaluate(small_run, folder, network, step=1)


def test_damaged_shard(small_run: config.Run, network: models.CausalLM, folder: RunFolder) -> None:
    """A flipped byte in a held-out row ends the stage with the file and the record."""
    path = folder.corpus / "validation-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"validation-00000-of-00002.tfrecord: record \d+ at byte"):
        evaluate(small_run, folder, network, step=1)
    assert not folder.evaluation.exists()
