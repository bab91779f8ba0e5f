"""Stop strings against Python's `bytes.find`."""

import random

import pytest
import tensorflow as tf

from llm_keras.generation import stop_strings

found_suffix = tf.function(stop_strings.found_suffix, reduce_retracing=True)


def earliest(text: bytes, stops: list[bytes]) -> int:
    """The same question asked of Python."""
    starts = [text.find(stop) for stop in stops if stop and stop in text]
    return len(text) - min(starts) if starts else 0


def test_agrees_with_bytes_find_on_random_text():
    """300 texts over a tiny alphabet, so that stop strings overlap, repeat and touch both ends."""
    random.seed(7)
    word = lambda longest: bytes(random.choices(b"ab\0", k=random.randint(0, longest)))  # noqa: E731
    texts = [word(9) for _ in range(300)]
    stops = [[word(4) for _ in range(3)] for _ in texts]
    expected = [earliest(text, stop) for text, stop in zip(texts, stops, strict=True)]
    assert sum(length > 0 for length in expected) > 100
    assert found_suffix(tf.constant(texts), tf.constant(stops)).numpy().tolist() == expected


@pytest.mark.parametrize(
    ("text", "stops", "suffix"),
    [
        ("", ["a"], 0),
        ("end.", [""], 0),
        ("é漢", ["漢"], 3),
        ("one two", ["two", "one"], 7),
        ("ab", ["abc"], 0),
        ("a\0", ["\0"], 1),
    ],
)
def test_edges(text, stops, suffix):
    """Empty texts and stop strings, several bytes a character, NUL, a stop longer than the text."""
    assert found_suffix(tf.constant([text]), tf.constant([stops])).numpy().tolist() == [suffix]


def test_a_stop_string_is_found_wherever_tokens_cut_it():
    """Fed in pieces of any size, the end is found in the piece that completes the stop string."""
    whole, stop = b"one two STOP three", tf.constant([[b"STOP", b"zzz"]])
    for size in range(1, 7):
        ends = range(size, len(whole) + size, size)
        tails = [stop_strings.tail(tf.constant([whole[:end]]), stop, size) for end in ends]
        assert all(len(tail[0].numpy()) <= len("STOP") + size for tail in tails)
        suffixes = [int(found_suffix(tail, stop)[0]) for tail in tails]
        first = next(index for index, suffix in enumerate(suffixes) if suffix)
        assert whole[: ends[first]].find(b"STOP") == len(b"one two ")
        assert min(ends[first], len(whole)) - suffixes[first] == len(b"one two ")
        assert b"STOP" not in whole[: ends[first] - size]


def test_cutting_an_empty_batch_gives_an_empty_batch():
    """A batch without rows passes."""
    nothing = tf.zeros([0], tf.string)
    assert found_suffix(nothing, tf.zeros([0, 1], tf.string)).shape == (0,)
    assert stop_strings.cut_suffix(nothing, tf.zeros([0], tf.int32)).shape == (0,)
