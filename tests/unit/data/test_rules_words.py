"""Words and signs: cases written out, and what must hold for any text."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras.data.rules import words
from llm_keras.data.rules.words import split_piece, split_words
from tests.rule_documents import ODD_WORDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "Hello | , | world | !"),
        ("don't can’t cannot I'll've", "do | n't | ca | n’t | can | not | I | 'll | 've"),
        ("John's dogs' 'tis", "John | 's | dogs | ' | ' | tis"),
        ("Mr. Smith of the U.S. said so.", "Mr. | Smith | of | the | U.S. | said | so | ."),
        ("e.g. this... and… that", "e.g. | this | ... | and | … | that"),
        ("10km 5pm 20% $5.00 US$7 3€", "10 | km | 5 | pm | 20 | % | $ | 5.00 | US$ | 7 | 3 | €"),
        ("well-known a--b 3-4", "well | - | known | a | -- | b | 3 | - | 4"),
        ("-5 +5 5+", "-5 | +5 | 5 | +"),
        ("(see: http://x.org/a?b=c)", "( | see | : | http://x.org/a?b=c | )"),
        ("me@x.org, www.y.com.", "me@x.org | , | www.y.com | ."),
        ("a,b x=y 1,000 a/b and/or", "a | , | b | x | = | y | 1,000 | a | / | b | and/or"),
        ("end.Begin etc.", "end | . | Begin | etc | ."),
        ("NATO. A. USA.", "NATO | . | A. | USA | ."),
        (":-) (:) C++", ":-) | ( | :) | C++"),
        ("98°F. ☃snow☃", "98 | ° | F | . | ☃ | snow | ☃"),
        ("«Да.» 東京。", "« | Да | . | » | 東京 | 。"),
        ("___ ***", "_ | _ | _ | * | * | *"),
        ("", ""),
        (" \n\t\u3000", ""),
    ],
)  # fmt: skip
def test_cases(text, expected):
    """Each is what spaCy 3.8.18 gives for a blank English pipeline."""
    assert split_words(text) == (expected.split(" | ") if expected else [])


pieces = st.lists(st.sampled_from([*"aZ1.,-'’:()/+@%$…°", "'s", "...", "km", ":-)"]), max_size=12)


@given(st.text(max_size=80) | st.lists(st.sampled_from(ODD_WORDS), max_size=8).map(" ".join))
@settings(max_examples=200)
def test_words_are_the_text_without_its_white_space(text):
    assert "".join(split_words(text)) == "".join(text.split())
    assert all(split_words(text))


@given(pieces.map("".join))
@settings(max_examples=200)
def test_a_piece_is_split_alike_whatever_stands_beside_it(piece):
    alone = split_words(piece)
    assert split_words(f"a {piece}\n{piece}") == ["a", *alone, *alone]


@given(pieces.map("".join), st.integers(101, 140))
@settings(max_examples=100)
def test_long_pieces_lose_nothing(piece, size):
    long = (piece * size)[: size * 3]
    assert "".join(split_piece(long)) == long


@pytest.mark.parametrize("alphabet", ["\u0436.", "\u0436.@:/-_1", "a.:/-", "\u0436a-.,", "1+-*^.x"])
def test_no_piece_takes_more_than_linear_time(alphabet):
    rng = random.Random(alphabet)
    texts = [" ".join("".join(rng.choices(alphabet, k=90)) for _ in range(10)) for _ in range(100)]
    start = time.process_time()
    for text in texts:
        split_words(text)
    assert time.process_time() - start < 10


def test_few_pieces_are_remembered(monkeypatch):
    monkeypatch.setattr(words, "MAXIMUM_PIECES", 10)
    for number in range(100):
        assert split_words(f"word{number}.") == [f"word{number}", "."]
    assert len(words._PIECES) <= 10
