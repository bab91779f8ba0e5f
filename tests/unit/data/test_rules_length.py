"""Length rules."""

import pytest

from llm_keras import config
from llm_keras.data.rules import KEEP, TextView, length, rules


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000 \n"])
def test_white_space_alone_is_empty(text):
    assert length.not_empty(text).reason == "empty"


def test_one_letter_is_not_empty():
    assert length.not_empty(" a") == KEEP


@pytest.mark.parametrize(
    ("words", "reason"),
    [(49, "too_few_words"), (50, ""), (100_000, ""), (100_001, "too_many_words")],
)
def test_both_limits_of_the_word_count_are_kept(words, reason):
    assert length.word_count(words).reason == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("aaa bbb", ""),
        ("aaa bb", "mean_word_length"),
        ("a" * 10, ""),
        ("a" * 11, "mean_word_length"),
    ],
)
def test_both_limits_of_the_mean_word_length_are_kept(text, reason):
    totals = TextView(text).totals
    verdict = length.mean_word_length(totals.spoken_characters, totals.spoken)
    assert verdict.reason == reason


def test_signs_are_no_words():
    totals = TextView('"Well," he said -- # 7 ... •').totals
    assert totals.words == 11
    assert totals.spoken == 5  # Well he said 7 •
    assert totals.spoken_characters == 12
    assert totals.alphabetic == 3


def test_details_give_the_figures():
    assert length.word_count(3).detail == "3 < 50"
    assert length.mean_word_length(24, 2).detail == "12.00 not in [3, 10]"


def test_no_words_have_no_mean_and_pass():
    assert length.mean_word_length(0, 0) == KEEP


def test_without_its_section_a_rule_is_off_but_empty_texts_still_go():
    corpus = config.Corpus(
        sources=[{"name": "s", "kind": "text", "path": "p"}],
        length=None,
        repetition=None,
        language=None,
    )
    (rule,) = rules(corpus)
    assert rule.judge(TextView("x")).keep
    assert rule.judge(TextView(" ")).reason == "empty"
