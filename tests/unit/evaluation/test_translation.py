"""Which held-out pairs are translated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from llm_keras import config
from llm_keras.data.document import Document
from llm_keras.errors import UserError
from llm_keras.evaluation.translation import fitting, judge_of, spread
from llm_keras.tokenizers import SentencePieceTokenizer
from llm_keras.tokenizers.training import train


def pair(number: int, subset: str | None, text: str = "In the beginning") -> Document:
    return Document(f"bible:{number:04}", text, "bible", subset=subset, target="En el principio")


def test_pairs_are_spread_over_subsets_by_size() -> None:
    """A tenth of 300 and 100 pairs is 30 and 10, whatever their order; the same ones every time."""
    pairs = [pair(n, "Job" if n < 300 else "Ruth") for n in range(400)]
    chosen = spread(pairs, 40)
    assert Counter(each.subset for each in chosen) == {"Job": 30, "Ruth": 10}
    assert len({each.id for each in chosen}) == 40
    assert spread(pairs[::-1], 40) == chosen
    assert len(spread(pairs, 1000)) == 400


def test_pairs_without_subset_count_by_source() -> None:
    pairs = spread([pair(n, None) for n in range(3)], 500)
    assert list(judge_of(pairs)(["En el principio"] * 3)["subsets"]) == ["bible"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> SentencePieceTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(
        train(["In the beginning God created"] * 5, config.Tokenizer(vocabulary_size=275))
    )
    return SentencePieceTokenizer(path)


def test_sources_that_do_not_fit_are_left_out(tokenizer: SentencePieceTokenizer) -> None:
    """One token more than fits beside eos is too long; the last that fits stays."""
    size = len(tokenizer.encode("In the beginning"))
    pairs = [pair(0, "Job"), pair(1, "Job", "In the beginning In the beginning")]
    assert fitting(pairs, tokenizer, size + 1) == pairs[:1]
    with pytest.raises(UserError, match=f"no held-out source fits {size} tokens"):
        fitting(pairs, tokenizer, size)


def test_no_pairs_at_all(tokenizer: SentencePieceTokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no pairs are held out; raise corpus.validation_fraction"):
        fitting([], tokenizer, 100)
