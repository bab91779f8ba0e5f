"""Symbol and line rules: both sides of every limit."""

import pytest

from llm_keras import config
from llm_keras.data.rules import TextView, line_quality, rules, symbols


@pytest.mark.parametrize(("signs", "reason"), [(10, ""), (11, "hashes_per_word")])
def test_signs_per_word(signs, reason):
    assert symbols.signs_per_word("hashes", signs, 100, 0.1).reason == reason


def test_signs_without_words_drop():
    assert symbols.signs_per_word("ellipses", 1, 0, 0.1).detail == "1.000 > 0.1"


@pytest.mark.parametrize("bullet", ["•", "  • ", "-", "\t- "])
def test_bullets(bullet):
    nine, ten = [bullet + "x"] * 9 + ["x"], [bullet + "x"] * 10
    assert symbols.bullet_lines(nine, 0.9).keep
    assert symbols.bullet_lines(ten, 0.9).reason == "bullet_lines"
    assert symbols.bullet_lines(["* x"] * 10, 0.9).keep
    assert symbols.bullet_lines([], 0.9).keep


@pytest.mark.parametrize("dots", ["...", "…", "... "])
def test_ellipses(dots):
    assert symbols.ellipsis_lines(["x" + dots] * 3 + ["x"] * 7, 0.3).keep
    assert symbols.ellipsis_lines(["x" + dots] * 4 + ["x"] * 6, 0.3).reason == "ellipsis_lines"


@pytest.mark.parametrize(("fraction", "reason"), [(0.8, ""), (0.79, "alphabetic_words")])
def test_alphabetic_words(fraction, reason):
    assert symbols.alphabetic_words(fraction, 0.8).reason == reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [({"the", "of"}, ""), ({"the"}, "stop_words"), ({"The", "OF"}, "stop_words")],
)
def test_stop_words(words, reason):
    assert symbols.stop_words(words, config.Symbols().stop_words, 2).reason == reason


@pytest.mark.parametrize(("fraction", "reason"), [(0.12, ""), (0.119, "punctuated_lines")])
def test_punctuated_lines(fraction, reason):
    assert line_quality.punctuated_lines(fraction, 0.12).reason == reason


def test_marks_of_many_scripts_end_a_line():
    view = TextView("One.\nTwo?\nThree!\n四。\n\nपाँच।\nsix\nseven,\n eight'\nnine\"\n")
    assert view.punctuated_lines == 5 / 9


def test_short_lines():
    assert line_quality.short_lines(0.67, 0.67).keep
    assert line_quality.short_lines(0.68, 0.67).reason == "short_lines"
    assert TextView("\n".join(["x" * 30] * 3 + ["x" * 31, " "])).short_lines(30) == 0.75
    assert TextView("").short_lines(30) == 0


@pytest.mark.parametrize(("repeated", "reason"), [(1, ""), (2, "repeated_line_characters")])
def test_repeated_line_characters(repeated, reason):
    assert line_quality.repeated_line_characters(repeated, 100, 0.01).reason == reason


def test_newlines_per_word():
    assert line_quality.newlines_per_word(0.3, 0.3).keep
    assert line_quality.newlines_per_word(0.31, 0.3).reason == "newlines_per_word"
    assert TextView("one\ntwo\n").newlines_per_word == 1
    assert TextView("\n").newlines_per_word == 1


def test_limits_are_the_published_ones():
    """Rae et al. 2021, appendix A1.1; Penedo et al. 2024, section 3.6."""
    assert config.Length().model_dump() == {
        "minimum_words": 50,
        "maximum_words": 100_000,
        "minimum_mean_word_length": 3.0,
        "maximum_mean_word_length": 10.0,
    }
    assert config.Symbols().model_dump() == {
        "maximum_hashes_per_word": 0.1,
        "maximum_ellipses_per_word": 0.1,
        "maximum_bullet_lines": 0.9,
        "maximum_ellipsis_lines": 0.3,
        "minimum_alphabetic_words": 0.8,
        "stop_words": ("the", "be", "to", "of", "and", "that", "have", "with"),
        "minimum_stop_words": 2,
    }
    assert config.LineQuality().model_dump() == {
        "minimum_punctuated_lines": 0.12,
        "short_line_characters": 30,
        "maximum_short_lines": 0.67,
        "maximum_duplicate_line_characters": 0.01,
        "maximum_newlines_per_word": 0.3,
    }
    assert config.CodeQuality().model_dump() == {
        "maximum_line_characters": 1000,
        "maximum_mean_line_characters": 100.0,
        "minimum_alphanumeric": 0.25,
        "minimum_comments": 0.01,
        "maximum_comments": 0.8,
    }


def reasons(preset):
    return [reason for rule in rules(config.Rules(preset=preset)) for reason in rule.reasons]


def test_a_preset_turns_on_its_rules():
    assert reasons("none") == ["empty"]
    assert reasons("c4")[1:] == [
        *("too_many_characters", "lorem_ipsum", "curly_bracket", "too_few_sentences")
    ]
    assert "stop_words" in reasons("gopher")
    assert "duplicate_10_gram_characters" in reasons("gopher")
    assert "newlines_per_word" not in reasons("gopher")
    assert set(reasons("gopher")) | set(reasons("c4")) < set(reasons("fineweb"))
    assert reasons("fineweb")[-1] == "newlines_per_word"
    assert "many_comments" in reasons("bigcode")


def test_reasons_differ():
    for preset in ("none", "c4", "gopher", "fineweb", "bigcode"):
        assert len(reasons(preset)) == len(set(reasons(preset)))


def test_code_is_in_no_language():
    (_, rule) = rules(config.Rules(preset="none"), config.Language(keep=["en"]))
    assert rule.judge(TextView("x = 1", known_language="code")).keep
    assert rule.judge(TextView("Das ist es nicht.", known_language="de")).reason == "language"
