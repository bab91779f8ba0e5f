"""Repetition rules, against the plainest way to count that there is."""

import math
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data.rules import KEEP, TextView, rules
from llm_keras.data.rules.repetition import duplicates, repeated_ngrams, repeated_parts

SPEECHES = Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union"
FOX = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]

few_words = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=40)
some_words = st.lists(st.sampled_from([f"w{i}" * (i % 3 + 1) for i in range(12)]), max_size=80)


def ngrams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def plain_top(words, n):
    """Characters of the most frequent n-gram, of the first of them, times its occurrences."""
    counts = Counter(ngrams(words, n))
    most = max(counts.values(), default=0)
    if most < 2:
        return 0
    return most * len(" ".join(next(gram for gram in ngrams(words, n) if counts[gram] == most)))


def plain_duplicate(words, n):
    """Characters of n-grams met before; behind one of these the reading goes on."""
    seen, place, characters = set(), 0, 0
    while place + n <= len(words):
        gram = tuple(words[place : place + n])
        if gram in seen:
            characters += len("".join(gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return characters


def total(words):
    return max(len(" ".join(words)), 1)


@pytest.mark.parametrize("n", range(1, 6))
@given(words=few_words | some_words)
@settings(max_examples=60)
def test_top_ngram_drops_exactly_above_the_plain_count(n, words):
    fraction = plain_top(words, n) / total(words)
    assert repeated_ngrams(words, total(words), {n: fraction + 1e-9}, {}) == KEEP
    if fraction:
        verdict = repeated_ngrams(words, total(words), {n: fraction - 1e-9}, {})
        assert verdict.reason == f"top_{n}_gram_characters"


@pytest.mark.parametrize("n", range(1, 6))
@given(words=few_words | some_words)
@settings(max_examples=60)
def test_duplicate_ngrams_drop_exactly_above_the_plain_count(n, words):
    fraction = plain_duplicate(words, n) / total(words)
    assert repeated_ngrams(words, total(words), {}, {n: fraction + 1e-9}) == KEEP
    if fraction:
        verdict = repeated_ngrams(words, total(words), {}, {n: fraction - 1e-9})
        assert verdict.reason == f"duplicate_{n}_gram_characters"


def test_an_ngram_that_occurs_once_is_no_repetition():
    assert repeated_ngrams(["once", "only"], 9, {2: 0.0}, {2: 0.0}) == KEEP


def test_overlapping_occurrences_all_count():
    """`a a a` holds `a a` twice: six characters where the text has five."""
    verdict = repeated_ngrams(["a"] * 3, 5, {2: 0.99}, {})
    assert verdict.detail == "1.200 > 0.99"


def test_fractions_are_told():
    noted = {}
    repeated_ngrams(FOX * 3, len(" ".join(FOX * 3)), {2: 0.9}, {5: 0.9}, noted.__setitem__)
    assert noted.keys() == {"top_2_gram_characters", "duplicate_5_gram_characters"}


def test_the_shorter_ngram_is_asked_first():
    assert (
        repeated_ngrams(FOX * 3, 100, {}, {5: 0.1, 6: 0.1}).reason == "duplicate_5_gram_characters"
    )


@given(st.lists(st.text("ab", max_size=3), max_size=12))
def test_duplicates_equal_the_plain_count(parts):
    seen, repeats = set(), []
    for part in parts:
        if part in seen:
            repeats.append(part)
        seen.add(part)
    assert duplicates(parts) == (len(repeats), sum(map(len, repeats)))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (["x", "x", "long enough"], "duplicate_lines"),  # a third of the lines, few characters
        (["a", "b", "c", "d", "the same", "the same"], "duplicate_line_characters"),
        (["one", "two", "three", "four"], ""),
    ],
)
def test_lines_are_judged_by_number_and_by_characters(parts, reason):
    total = len("\n".join(parts))
    assert repeated_parts("line", parts, total, 0.30, 0.20).reason == reason


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
    every = config.Rules(preset="fineweb", c4={"end_punctuation": True, "maximum_characters": 1})
    corpus = config.Corpus(sources=[{"name": "s", "kind": "text", "path": "p"}])
    wide = config.Rules(preset="fineweb")
    return [*rules(corpus), *rules(every), *rules(wide, config.Language(keep=["en"]))]


def verdicts(text):
    view = TextView(text)
    return [rule.judge(view) for rule in default_rules()]


def test_speeches_in_one_long_line_are_kept():
    corpus = config.Corpus(sources=[{"name": "s", "kind": "text", "path": "p"}])
    for path in sorted(SPEECHES.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert len(text) > 5_000
        assert all(rule.judge(TextView(text)).keep for rule in rules(corpus)), path.name


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
    assert [part for part in view.parts if part] == [line for line in text.split("\n") if line]
    assert [part.strip("\n") for part in view.paragraphs] == (
        _plain_paragraphs(text.strip()) or [""]
    )


def _plain_paragraphs(text):
    """Runs of lines between empty lines."""
    paragraphs, current = [], []
    for line in [*text.split("\n"), ""]:
        if line:
            current.append(line)
        elif current:
            paragraphs.append("\n".join(current))
            current = []
    return paragraphs


def test_a_changed_text_is_split_anew():
    view = TextView("one two three\nfour")
    assert (len(view.words), view.totals.spoken, len(view.lines)) == (4, 4, 2)
    view.replace_text("one two", Counter(short=1))
    assert (view.words, view.totals.spoken, view.lines) == (["one", "two"], 2, ["one two"])
    assert view.removed_lines == {"short": 1}


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
    "colons": ":" * 100_000,
    "brackets": "(" * 50_000 + ")" * 50_000,
    "brackets in turn": "()" * 50_000,
    "faces": ":-)" * 33_000,
    "face on face": ":-) " * 25_000,
    "dots": "." * 100_000,
    "dots in turn": ".a" * 50_000,
    "hyphens": "a-" * 50_000,
    "address without end": "http://" + "a." * 49_990,
    "addresses": "a@" * 50_000,
    "letters like an address": ("\u0436" * 50 + ".") * 20 + "!" + " \u0436\u0436." * 10_000,
    "addresses without end": ("\u0436." * 60 + "\u0436\u0436!? ") * 700,
    "many addresses": "http://a.b.c.d/" * 6_000,
    "numbers": "1+" * 50_000,
    "apostrophes": "'s" * 50_000,
    "citations": "[1" * 50_000,
    "open citations": "[" * 100_000,
    "short sentences": "A. " * 33_000,
    "short lines": "A b c d e.\n" * 9_000,
    "policies": "use cookie\n" * 9_000,
    "symbols": "\u2603" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_cost_no_more_than_their_length(name):
    """100 KB within 100 ms of this process's time, at best of three, for each rule."""
    verdicts("warm up")
    chosen = default_rules() + rules(config.Rules(preset="bigcode"))
    best = [math.inf] * len(chosen)
    for _ in range(3):
        view = TextView(HOSTILE[name])
        for number, rule in enumerate(chosen):
            start = time.process_time()
            rule.judge(view)
            best[number] = min(best[number], time.process_time() - start)
        if max(best) < 0.1:
            break
    slow = [rule.reasons for rule, seconds in zip(chosen, best, strict=True) if seconds >= 0.1]
    assert not slow
