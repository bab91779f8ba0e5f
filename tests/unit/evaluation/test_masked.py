"""Hidden tokens: the same for everybody, guessed by a network and by models that count."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from llm_keras import config, models
from llm_keras.data.records import RecordStore
from llm_keras.errors import DivergedError, UserError
from llm_keras.evaluation import evaluate
from llm_keras.evaluation.masked import guesses_of
from llm_keras.evaluation.masking import MaskedRows, masked_rows
from llm_keras.evaluation.neighbours import PRIOR_TOKENS, Neighbours, guess
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer, load, train_tokenizer

from .conftest import document, write_documents
from .test_evaluate import LENGTH, texts, write_corpus

V = 291


@pytest.fixture(scope="module")
def run() -> config.Run:
    return config.Run.model_validate(
        {
            "corpus": {"sources": [{"name": "letters", "kind": "text", "path": "letters"}]},
            "tokenizer": {"vocabulary_size": V, "user_symbols": ["<mask>"]},
            "records": {"sequence_length": LENGTH},
            "model": {
                "kind": "masked_lm",
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 16,
                "num_query_heads": 2,
                "initializer_range": 0.5,
            },
            "training": {"total_steps": 300, "global_batch_size": 16},
            "evaluation": {"batch_size": 4},
        }
    )


@pytest.fixture(scope="module")
def network(run: config.Run) -> models.MaskedLM:
    network = models.build(run)
    assert isinstance(network, models.MaskedLM)
    return network


@pytest.fixture(scope="module")
def folder(run: config.Run, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A tokenized corpus of 40 and 9 documents."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    training, held_out = texts(0, 40), texts(1, 9)
    write_documents(
        folder.documents / "train-00000-of-00001.jsonl.gz",
        [document(text, id=f"letters:{i}") for i, text in enumerate(training)],
    )
    train_tokenizer(run, folder)
    tokenizer = SentencePieceTokenizer(folder.tokenizer_model)
    write_corpus(folder.corpus, tokenizer, {"train": training, "validation": held_out})
    return folder


def rows_of(run: config.Run, folder: RunFolder, size: int, seed: int = 0) -> list[MaskedRows]:
    store, tokenizer = RecordStore(folder.corpus, "validation"), load(folder.tokenizer_model)
    return list(masked_rows(store, tokenizer, run.training.masking, seed, size))


def test_the_same_tokens_are_hidden_whatever_the_batches(run, folder: RunFolder) -> None:
    """Once and again, in batches of 3 or of 100; another seed hides others."""
    mask_id = load(folder.tokenizer_model).mask_id
    store = RecordStore(folder.corpus, "validation")
    small, large, other = (
        np.concatenate([rows.hidden for rows in rows_of(run, folder, size, seed)])[: store.num_rows]
        for size, seed in ((3, 0), (100, 0), (100, 1))
    )
    np.testing.assert_array_equal(small, large)
    assert (small != other).any()
    rows = rows_of(run, folder, 100)[0]
    assert (rows.shown[rows.hidden] == mask_id).all()
    np.testing.assert_array_equal(rows.shown[~rows.hidden], rows.tokens[~rows.hidden])
    assert not np.isin(rows.tokens[rows.hidden], [0, 1, 2, 3]).any()
    text = (rows.segments > 0) & (rows.tokens > 3)
    expected = np.floor(0.15 * text.sum(axis=1) + 0.5).clip(min=text.any(axis=1))
    np.testing.assert_array_equal(rows.hidden.sum(axis=1), expected)


@pytest.mark.parametrize("size", [3, 100])
def test_guesses_equal_brute_force(run, network, folder: RunFolder, size: int) -> None:
    """One token after another in float64: cost, and rank of the truth among all tokens."""
    batches = rows_of(run, folder, size)
    found = guesses_of(network, batches, 26)
    nats, ranks = 0.0, []
    for rows in batches:
        inputs = {"tokens": rows.shown, "segments": rows.segments, "positions": rows.positions}
        logits = network(inputs).numpy().astype(np.float64)
        for row, place in np.argwhere(rows.hidden):
            scores, truth = logits[row, place], rows.tokens[row, place]
            nats += np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[truth]
            ranks.append(int((scores > scores[truth]).sum()))
    assert found.targets == len(ranks) > 20
    assert found.nats == pytest.approx(nats, rel=1e-6)
    assert (found.good, found.fair) == (ranks.count(0), sum(rank < 5 for rank in ranks))


def test_a_network_without_opinion_guesses_nothing(run, folder: RunFolder) -> None:
    """Where all logits are equal, the truth is not said to come first; nor where they are NaN."""
    network = models.build(run)
    for value in (0.0, np.nan):
        for variable in network.head_variables:
            variable.assign(np.full(variable.shape, value))
        found = guesses_of(network, rows_of(run, folder, 100), 26)
        assert (found.good, found.fair) == (0, 0)
        assert found.cross_entropy == pytest.approx(
            math.log(V) if value == 0 else value, nan_ok=True
        )


def test_neighbours_equal_counting_by_hand() -> None:
    """The formula with dictionaries, for every hidden token between two others."""
    rng = np.random.default_rng(3)
    stream = rng.integers(0, 12, 3000)
    alone = Counter(stream.tolist())
    pairs = Counter(zip(stream[:-1].tolist(), stream[1:].tolist(), strict=True))
    model, m = Neighbours(stream, 12), PRIOR_TOKENS
    p = {x: (alone[x] + 1) / (3000 + 12) for x in range(12)}
    for left, right in [(3, 4), (None, 4), (3, None), (None, None)]:
        expected = [
            (p[x] if left is None else (pairs[left, x] + m * p[x]) / (alone[left] + m))
            * (1 if right is None else (pairs[x, right] + m * p[right]) / (alone[x] + m))
            for x in range(12)
        ]
        found = model.distribution(left, right)
        np.testing.assert_allclose(found, np.array(expected) / sum(expected), rtol=1e-12)


def test_neighbours_look_only_at_what_is_shown() -> None:
    """A neighbour that is hidden too, of another document or beyond the row does not help."""
    model = Neighbours(np.tile([1, 2, 3], 200), 4)
    tokens = np.array([[1, 2, 3, 1, 2, 3]], np.int32)
    hidden = np.array([[0, 1, 1, 0, 0, 1]], bool)
    segments = np.array([[1, 1, 1, 2, 2, 3]], np.int32)
    rows = MaskedRows(tokens, segments, tokens, tokens, hidden)
    looks = [(1, None, 2), (None, None, 3), (None, None, 3)]  # left, right, truth
    nats = -sum(math.log(model.distribution(left, right)[x]) for left, right, x in looks)
    assert guess(model, [rows], looks=True).nats == pytest.approx(nats)
    blind = guess(model, [rows], looks=False)
    assert blind.nats == pytest.approx(-sum(math.log(model.unigram[x]) for _, _, x in looks))


def test_evaluation_file(run, network, folder: RunFolder) -> None:
    """The figures by their names; neighbours guess better than frequency on this corpus."""
    evaluate(run, folder, network, step=7)
    found = json.loads(folder.evaluation.read_text())
    assert (found["step"], found["kind"], found["parameters"]) == (
        7,
        "masked_lm",
        network.count_params(),
    )
    baselines = found["baselines"]
    assert baselines["neighbours"]["cross_entropy"] < baselines["unigram"]["cross_entropy"]
    assert set(baselines["unigram"]) == {
        "cross_entropy",
        "perplexity",
        "accuracy",
        "top_5_accuracy",
    }
    assert 0 <= found["accuracy"] <= found["top_5_accuracy"] <= 1
    parts = found["masked"]["samples"][0]["parts"]
    told = "".join(part if isinstance(part, str) else part["truth"] for part in parts)
    assert any(told.strip().startswith(text[:20]) for text in texts(1, 9))


def test_a_tokenizer_without_mask_piece(run, network, folder: RunFolder, tmp_path: Path) -> None:
    """Says what to add; nothing is written."""
    other = RunFolder(tmp_path / "run")
    without = run.model_copy(
        update={"tokenizer": run.tokenizer.model_copy(update={"user_symbols": ()})}
    )
    write_documents(
        other.documents / "train-00000-of-00001.jsonl.gz",
        [document(text, id=f"letters:{i}") for i, text in enumerate(texts(0, 40))],
    )
    train_tokenizer(without, other)
    tokenizer = SentencePieceTokenizer(other.tokenizer_model)
    write_corpus(other.corpus, tokenizer, {"train": texts(0, 40), "validation": texts(1, 9)})
    with pytest.raises(UserError, match="no mask piece; add <mask> to"):
        evaluate(run, other, network, step=1)
    assert not other.evaluation.exists()


def test_weights_that_are_no_numbers(run, folder: RunFolder) -> None:
    """A network that diverged is an error that names the step."""
    network = models.build(run)
    variable = network.head_variables[0]
    variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(DivergedError, match="step 9: the loss on held-out documents is nan"):
        evaluate(run, folder, network, step=9)
