"""Refuses bad requests inside the graph: INVALID_ARGUMENT and one line that says what to change.

TensorFlow puts its own words around the line (`assertion failed: [...]`); the line itself names the
row, the field, what came and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

Tensor = Any

#: A request may not make the search for stop strings expensive for its batch mates.
MOST_STOP_STRINGS = 16
MOST_STOP_BYTES = 128


def require(valid: Tensor, *words: str | Tensor) -> tf.Operation:
    """Fails for the first row that is not valid.

    Args:
        valid: bool [B].
        words: Parts of the message; a tensor [B] stands for its value in that row, a scalar for
            itself.

    Returns:
        An operation for `tf.control_dependencies`.
    """

    def fail() -> tf.Operation:
        row = tf.argmin(tf.cast(valid, tf.int32), output_type=tf.int32)
        values = [
            word if isinstance(word, str) or not word.shape.rank else word[row] for word in words
        ]
        said = [value if isinstance(value, str) else _text(value) for value in values]
        return _fail(["row ", _text(row), ": ", *said])

    return tf.cond(tf.reduce_all(valid), tf.no_op, fail)


def same_rows(name: str, value: Tensor, **others: Tensor) -> list[tf.Operation]:
    """All inputs have as many rows as the first one."""
    rows = tf.shape(value)[0]

    def check(other: str, count: Tensor) -> tf.Operation:
        said = [other, " has ", _text(count), f" rows, but {name} has ", _text(rows)]
        return tf.cond(tf.equal(count, rows), tf.no_op, lambda: _fail(said))

    return [check(other, tf.shape(tensor)[0]) for other, tensor in others.items()]


def fits(tokens: Tensor, room: int, name: str) -> list[tf.Operation]:
    """A text has no more tokens, int32 [B], than there is room for."""
    return [
        require(
            tokens <= room,
            f"the {name} has ",
            tokens,
            f" tokens, special ones included; there is room for {room}: shorten it",
        )
    ]


def settings_valid(inputs: Mapping[str, Tensor]) -> list[tf.Operation]:
    """The sampling settings lie in their ranges; NaN never does."""
    temperature, top_k = inputs["temperature"], inputs["top_k"]
    top_p, min_p = inputs["top_p"], inputs["min_p"]
    penalty, limit = inputs["repetition_penalty"], inputs["max_new_tokens"]
    finite = tf.math.is_finite
    expected = {
        "temperature": (finite(temperature) & (temperature >= 0), "a number >= 0"),
        "top_k": (top_k >= 0, "0 for all tokens, or more"),
        "top_p": ((top_p > 0) & (top_p <= 1), "a number above 0 and at most 1"),
        "min_p": ((min_p >= 0) & (min_p < 1), "0 for all tokens, or a number below 1"),
        "repetition_penalty": (finite(penalty) & (penalty > 0), "a number above 0"),
        "max_new_tokens": (limit >= 1, "at least 1"),
    }
    return [
        require(valid, f"{name} is ", inputs[name], f", expected {wanted}")
        for name, (valid, wanted) in expected.items()
    ]


def stop_valid(stop: Tensor) -> list[tf.Operation]:
    """Stop strings [B, S] are few, short and valid UTF-8."""
    count = tf.fill([tf.shape(stop)[0]], tf.shape(stop)[1])
    longest = tf.maximum(tf.reduce_max(tf.strings.length(stop), axis=1), 0)
    repaired = tf.strings.unicode_transcode(stop, "UTF-8", "UTF-8", errors="replace")
    return [
        require(
            count <= MOST_STOP_STRINGS,
            count,
            f" stop strings, expected at most {MOST_STOP_STRINGS}",
        ),
        require(
            longest <= MOST_STOP_BYTES,
            "a stop string has ",
            longest,
            f" bytes, expected at most {MOST_STOP_BYTES}",
        ),
        require(tf.reduce_all(repaired == stop, axis=1), "a stop string is not valid UTF-8"),
    ]


def tokens_valid(
    tokens: Tensor, lengths: Tensor, most: int, vocabulary_size: int
) -> list[tf.Operation]:
    """Each length fits its row and `most`, and the ids inside it are of the vocabulary."""
    width = tf.shape(tokens)[1]
    inside = tf.range(width) < lengths[:, None]
    wrong = inside & ((tokens < 0) | (tokens >= vocabulary_size))
    first = wrong & (tf.cumsum(tf.cast(wrong, tf.int32), axis=1) == 1)
    room = tf.minimum(width, most)
    return [
        require(
            (lengths >= 0) & (lengths <= room), "length is ", lengths, ", expected 0 to ", room
        ),
        require(
            ~tf.reduce_any(wrong, axis=1),
            "token id ",
            tf.reduce_sum(tf.where(first, tokens, 0), axis=1),
            f" is not in the vocabulary of {vocabulary_size} pieces",
        ),
    ]


def _fail(words: Sequence[str | Tensor]) -> tf.Operation:
    return tf.debugging.Assert(tf.constant(False), [tf.strings.join(words)])


def _text(value: Tensor) -> Tensor:
    if value.dtype == tf.string:
        return value
    return tf.strings.as_string(value, shortest=value.dtype.is_floating)
