"""The translation memory against a plain computation of the same formula, and its odd inputs."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from llm_keras.evaluation.translation_memory import TranslationMemory

WORDS = [
    "in",
    "the",
    "beginning",
    "god",
    "created",
    "heaven",
    "and",
    "earth",
    "light",
    "day",
    "night",
    "waters",
]


def sentences(count: int) -> list[str]:
    rng = np.random.default_rng(4)
    return [" ".join(rng.choice(WORDS, size=rng.integers(2, 9))) for _ in range(count)]


def vector(text: str, spread: Counter[str], texts: int) -> dict[str, float]:
    counts = Counter(text[i : i + 3] for i in range(len(text) - 2))
    return {
        gram: (1 + math.log(count)) * math.log(texts / spread[gram])
        for gram, count in counts.items()
        if spread[gram]
    }


def cosine(one: dict[str, float], other: dict[str, float]) -> float:
    product = sum(weight * other.get(gram, 0.0) for gram, weight in one.items())
    norms = [math.sqrt(sum(w * w for w in each.values())) for each in (one, other)]
    return product / (norms[0] * norms[1]) if all(norms) else 0.0


def test_nearest_equals_the_formula() -> None:
    """Dictionaries and loops find the same neighbours as the inverted index."""
    known, asked = sentences(60)[:40], sentences(60)[40:]
    spread: Counter[str] = Counter()
    for text in known:
        spread.update({text[i : i + 3] for i in range(len(text) - 2)})
    vectors = [vector(text, spread, len(known)) for text in known]
    memory = TranslationMemory(known, known)
    for text in asked:
        likeness = [cosine(vector(text, spread, len(known)), each) for each in vectors]
        assert likeness[memory.nearest(text)] == pytest.approx(max(likeness), rel=1e-12)


def test_a_known_text_finds_its_translation() -> None:
    """Case does not matter; of two equal texts the first answers."""
    known = [*sorted(set(sentences(40))), "God created", "god created"]
    memory = TranslationMemory(known, [str(i) for i in range(len(known))])
    assert memory.translate([text.upper() for text in known[:-1]]) == [
        str(i) for i in range(len(known) - 1)
    ]
    assert memory.translate(["GOD CREATED"]) == [str(len(known) - 2)]


@pytest.mark.parametrize("text", ["", "a", "zzzz", "\ud800 \U0001f600\U0010ffff"])
def test_texts_that_share_nothing_get_the_first(text: str) -> None:
    """Empty, short, foreign and damaged texts are answered too."""
    assert TranslationMemory(["day and night", "light"], ["eins", "zwei"]).translate([text]) == [
        "eins"
    ]


def test_texts_too_short_to_index() -> None:
    """A memory of texts without a trigram has one answer."""
    assert TranslationMemory(["a", ""], ["eins", "zwei"]).translate(["day", ""]) == ["eins"] * 2


@pytest.mark.parametrize(("sources", "targets"), [([], []), (["a"], [])])
def test_refuses_what_is_no_memory(sources: list[str], targets: list[str]) -> None:
    with pytest.raises(ValueError, match="are no memory"):
        TranslationMemory(sources, targets)
