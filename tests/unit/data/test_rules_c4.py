"""C4's heuristics on lines and pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data.rules import TextView, c4, rules
from llm_keras.data.rules.c4 import clean_page, count_sentences

C4 = config.C4()
FINEWEB = config.Rules(preset="fineweb").c4
ANY = config.C4(minimum_sentences=0)
GOOD = "This is a line of seven words."


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD, ""),
        ("Is this a line of words?", ""),
        ("What a line of words!", ""),
        ('He said "this is a line"', ""),
        ("He said 'this is a line'", "no_end_mark"),
        ("This line has no mark at its end", "no_end_mark"),
        ("This line is cut off here...", "no_end_mark"),
        ("This line is cut off here…", "no_end_mark"),
        ("Only four words here.", "short"),
        ("This has just five words.", ""),
        ("Enable JavaScript to see this page.", "javascript"),
        ("Please read our Terms of Use today.", "policy"),
        ("This is our new Privacy Policy now.", "policy"),
        ("See our cookie policy for more words.", "policy"),
        ("This site uses cookies for your comfort.", "policy"),
        ("We use cookies for your own comfort.", "policy"),
        ("About the use of cookies on this site.", "policy"),
        ("a b c d " + "x" * 1001 + ".", "long_word"),
        ("a b c d " + "x" * 999 + ".", ""),
        ("x " * 600 + "end.", ""),
    ],
)
def test_lines_go_for_one_reason(line, reason):
    cleaned = clean_page(line, ANY)
    assert cleaned.verdict.keep
    assert cleaned.removed == ({reason: 1} if reason else {})
    assert cleaned.text == ("" if reason else line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{GOOD} Lorem Ipsum dolor sit amet.", "lorem_ipsum"),
        ("This is a line with { in it.", "curly_bracket"),
    ],
)
def test_pages_go_for_one_line(line, reason):
    assert clean_page(f"{GOOD}\n{line}", ANY).verdict.reason == reason


def test_a_line_that_goes_says_nothing_of_its_page():
    """The order of the checks is the source's: what is no sentence is not read for its content."""
    text = f"function() {{\nlorem ipsum\nEnable javascript {{ to see this page.\n{GOOD}"
    assert clean_page(text, ANY).text == GOOD


def test_citations_are_taken_out_of_lines():
    assert clean_page("It was so[12] in the[edit] year 1900.[citation needed]", ANY).text == (
        "It was so in the year 1900."
    )
    assert clean_page("It was so in the year [of 1900].", ANY).text.endswith("[of 1900].")


def test_lines_are_stripped_and_joined():
    text = f"  {GOOD}\t\n\nno\r\n{GOOD}\x0b{GOOD}\n"
    cleaned = clean_page(text, C4)
    assert cleaned.text == "\n".join([GOOD] * 3)
    assert cleaned.removed == {"blank": 1, "no_end_mark": 1}


@pytest.mark.parametrize(
    ("settings", "count", "keep"),
    [(C4, 2, False), (C4, 3, True), (FINEWEB, 4, False), (FINEWEB, 5, True)],
)
def test_pages_have_so_many_sentences(settings, count, keep):
    verdict = clean_page("\n".join([GOOD] * count), settings).verdict
    assert verdict.reason == ("" if keep else "too_few_sentences")
    assert verdict.detail in ("", f"{count} < {settings.minimum_sentences}")


def test_fineweb_keeps_lines_without_marks():
    text = "\n".join(["three words here."] * 5 + ["and three words", "two words"])
    cleaned = clean_page(text, FINEWEB)
    assert cleaned.removed == {"short": 1}
    assert cleaned.text.endswith("and three words")


def test_long_pages_go():
    page = "\n".join([GOOD] * 7000)
    assert clean_page(page, C4).verdict.detail == f"{len(page)} > 190000"
    assert clean_page(page, FINEWEB).verdict.keep


def test_numbers_are_the_published_ones():
    """Raffel et al. 2020, section 2.2, and c4_utils.py."""
    assert (C4.minimum_words_a_line, C4.minimum_sentences) == (5, 3)
    assert (C4.maximum_word_characters, C4.maximum_characters) == (1000, 190_000)
    assert (FINEWEB.minimum_words_a_line, FINEWEB.minimum_sentences) == (3, 5)
    assert (FINEWEB.end_punctuation, FINEWEB.maximum_characters) == (False, None)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("One. Two! Three?", 3),
        ("One... two", 1),
        ("What?! No.", 2),
        ("Mr. Smith of the U.S. came.", 1),
        ('He said "No." and left.', 2),
        ('He said "No."', 1),
        ("Version 1.5 is out. Get it", 2),
        ("东京。大阪。", 1),
        ("No end", 1),
        ("A dog.  Two blanks.", 2),
        ('A dog.  "', 2),
        ("", 1),
    ],
)
def test_sentences(line, count):
    """Each is what spaCy 3.8.18's sentencizer gives, as datatrove calls it."""
    assert count_sentences(line) == count


def test_the_rule_changes_the_text_and_later_rules_see_it():
    chosen = rules(config.Rules(preset="c4", lines={}))
    view = TextView("\n".join([*["menu"] * 30, *[f"{GOOD} {n}." for n in range(9)]]))
    assert all(rule.judge(view).keep for rule in chosen)
    assert view.text.count("\n") == 8
    assert view.removed_lines == {"no_end_mark": 30}


def test_a_dropped_page_keeps_its_text():
    (_, rule) = rules(config.Rules(preset="c4"))
    view = TextView("menu\n" + GOOD)
    assert rule.judge(view).reason == "too_few_sentences"
    assert view.text == "menu\n" + GOOD


@given(st.text("ab .?!\"'[1]{\n\r\t", max_size=80))
def test_cleaning_twice_changes_nothing_more(text):
    once = clean_page(text, ANY)
    if "[" not in once.text:
        assert clean_page(once.text, ANY).text == once.text
    kept = len(once.text.splitlines())
    if once.verdict.keep:
        assert kept + sum(once.removed.values()) == len(text.splitlines())
    assert set(once.removed) <= set(c4.LINE_REASONS)
