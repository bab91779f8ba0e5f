"""Repetition rules, against the plainest way to count that there is."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data.rules import KEEP, TextView, repetition, rules
from llm_keras.data.rules.repetition import duplicate_fractions, repeated_ngrams, repeated_parts

SPEECHES = Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union"
FOX = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]

few_words = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=40)
some_words = st.lists(st.sampled_from([f"w{i}" * (i % 3 + 1) for i in range(12)]), max_size=80)


def ngrams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def plain_fraction(words, covered):
    """The fraction of the words' characters that lie at the indices `covered`."""
    return sum(len(words[i]) for i in covered) / sum(map(len, words))


def plain_duplicate(words, n):
    counts = Counter(ngrams(words, n))
    starts = [i for i, gram in enumerate(ngrams(words, n)) if counts[gram] > 1]
    return plain_fraction(words, {i + k for i in starts for k in range(n)})


def plain_top(words, n):
    counts = Counter(ngrams(words, n))
    most = max(counts.values(), default=0)
    if most < 2:
        return 0.0
    return max(
        plain_fraction(
            words,
            {i + k for i, gram in enumerate(ngrams(words, n)) if gram == top for k in range(n)},
        )
        for top, count in counts.items()
        if count == most
    )


@pytest.mark.parametrize("n", range(1, 6))
@given(words=few_words | some_words)
@settings(max_examples=60)
def test_top_ngram_drops_exactly_above_the_plain_count(n, words):
    fraction = plain_top(words, n) if words else 0.0
    assert repeated_ngrams(words, {n: fraction + 1e-9}, {}) == KEEP
    if fraction:
        verdict = repeated_ngrams(words, {n: fraction - 1e-9}, {})
        assert verdict.reason == f"top_{n}_gram_characters"


@pytest.mark.parametrize("n", range(1, 6))
@given(words=few_words | some_words)
@settings(max_examples=60)
def test_duplicate_ngrams_drop_exactly_above_the_plain_count(n, words):
    fraction = plain_duplicate(words, n) if words else 0.0
    assert repeated_ngrams(words, {}, {n: fraction + 1e-9}) == KEEP
    if fraction:
        verdict = repeated_ngrams(words, {}, {n: fraction - 1e-9})
        assert verdict.reason == f"duplicate_{n}_gram_characters"


def test_an_ngram_that_occurs_once_is_no_repetition():
    assert repeated_ngrams(["once", "only"], {2: 0.0}, {2: 0.0}) == KEEP


def test_overlapping_occurrences_count_each_word_once():
    """`a a a` holds `a a` twice; its three words are all there is."""
    verdict = repeated_ngrams(["a"] * 3, {2: 0.99}, {})
    assert verdict.detail == "1.000 > 0.99"


def test_the_shorter_ngram_is_asked_first():
    assert repeated_ngrams(FOX * 3, {}, {5: 0.1, 6: 0.1}).reason == "duplicate_5_gram_characters"


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=12))
def test_duplicate_fractions_equal_the_plain_count(parts):
    seen, repeats = set(), []
    for part in parts:
        if part in seen:
            repeats.append(part)
        seen.add(part)
    fraction, characters = duplicate_fractions(parts)
    assert fraction == pytest.approx(len(repeats) / max(len(parts), 1))
    assert characters == pytest.approx(sum(map(len, repeats)) / max(sum(map(len, parts)), 1))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (["x", "x", "long enough"], "duplicate_lines"),  # a third of the lines, few characters
        (["a", "b", "c", "d", "the same", "the same"], "duplicate_line_characters"),
        (["one", "two", "three", "four"], ""),
    ],
)
def test_lines_are_judged_by_number_and_by_characters(parts, reason):
    assert repeated_parts("line", parts, 0.30, 0.20).reason == reason


def test_default_thresholds_are_those_of_gopher():
    """Rae et al. 2021, table A1."""
    assert config.Repetition().model_dump() == {
        "duplicate_lines": 0.30,
        "duplicate_paragraphs": 0.30,
        "duplicate_line_characters": 0.20,
        "duplicate_paragraph_characters": 0.20,
        "top_ngram_characters": {2: 0.20, 3: 0.18, 4: 0.16},
        "duplicate_ngram_characters": {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10},
    }


def default_rules():
    return rules(config.Corpus(sources=[{"name": "s", "kind": "text", "path": "p"}]))


def verdicts(text):
    view = TextView(text)
    return [rule.judge(view) for rule in default_rules()]


def test_speeches_in_one_long_line_are_kept():
    for path in sorted(SPEECHES.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert len(text) > 5_000
        assert all(verdict.keep for verdict in verdicts(text)), path.name


def test_a_speech_said_twice_is_dropped():
    path = min(SPEECHES.glob("*.txt"))
    reasons = {verdict.reason for verdict in verdicts(path.read_text(encoding="utf-8") * 2)}
    assert "duplicate_10_gram_characters" in reasons or "duplicate_5_gram_characters" in reasons


@given(st.text(max_size=200) | st.text("ab \n", max_size=200))
def test_every_reason_is_one_that_its_rule_declares(text):
    view = TextView(text)
    for rule in default_rules():
        verdict = rule.judge(view)
        assert verdict.keep or verdict.reason in rule.reasons


@given(st.text("ab \n\t\r\u3000", max_size=60))
def test_view_splits_as_its_plain_definitions_do(text):
    view = TextView(text)
    assert view.lines == [line for line in text.split("\n") if line.strip()]
    assert [part.strip("\n") for part in view.paragraphs] == [
        part.strip("\n") for part in _plain_paragraphs(text)
    ]


def _plain_paragraphs(text):
    """Runs of lines between empty lines."""
    paragraphs, current = [], []
    for line in [*text.split("\n"), ""]:
        if line:
            current.append(line)
        elif current:
            paragraphs.append("\n".join(current))
            current = []
    return [paragraph for paragraph in paragraphs if paragraph.strip()]


HOSTILE = {
    "one word": "a" * 100_000,
    "one word again and again": "a " * 50_000,
    "two words in turn": "a b " * 25_000,
    "lines": "a\n" * 50_000,
    "blank lines": "\n" * 100_000,
    "blank lines and spaces": "\n \n" * 33_000,
    "spaces": " " * 100_000,
    "random letters": "".join(random.Random(0).choices("ab \n", k=100_000)),
    "many equal pairs": " ".join(f"x{i % 12_500} y" for i in range(25_000)),
    "capitals": "A" * 50_000 + " " + "B" * 50_000,
    "combining marks": "e" + "\u0301" * 99_999,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_cost_no_more_than_their_length(name):
    """100 KB within 100 ms of this process's time, at best of three."""
    verdicts("warm up")
    times = []
    for _ in range(3):
        start = time.process_time()
        verdicts(HOSTILE[name])
        times.append(time.process_time() - start)
    assert min(times) < 0.1


def test_counting_grows_as_the_text_does():
    """Twice the repetitive text costs about twice the time, not four times."""

    def seconds(copies):
        words = ("a b c " * copies).split()
        start = time.process_time()
        for _ in repetition.repeated_starts(words, 10):
            pass
        return time.process_time() - start

    seconds(1_000)
    small = min(seconds(20_000) for _ in range(3))
    large = min(seconds(80_000) for _ in range(3))
    assert large < 10 * small
