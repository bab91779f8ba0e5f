"""Cutting the texts of a batch, each into parts that together are the text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

Tensor = Any

#: A byte that is in no UTF-8 text marks where to cut: TF Text's own `regex_split` loses what
#: follows a NUL.
BORDER = b"\xff"


def clean(texts: Tensor) -> Tensor:
    """Valid UTF-8, which has no BORDER in it; bytes that are none become U+FFFD."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")


def whole(texts: Tensor) -> tf.RaggedTensor:
    """Each text as its only part: string [B] to ragged [B, 1]."""
    return tf.RaggedTensor.from_row_splits(texts, tf.range(tf.size(texts, tf.int64) + 1))


def around(parts: tf.RaggedTensor, pattern: str) -> tf.RaggedTensor:
    """Cuts before and after every match. Empty parts come out as well."""
    return replace(parts, f"({pattern})", BORDER + rb"\1" + BORDER)


def between(parts: tf.RaggedTensor, before: str, after: str) -> tf.RaggedTensor:
    """Cuts wherever a match of `before` meets one of `after`."""
    return replace(parts, f"({before})({after})", rb"\1" + BORDER + rb"\2")


def replace(parts: tf.RaggedTensor, pattern: str, by: bytes) -> tf.RaggedTensor:
    """Replaces matches by text with borders, and cuts there."""
    return at_borders(parts.with_values(tf.strings.regex_replace(parts.flat_values, pattern, by)))


def at_borders(parts: tf.RaggedTensor) -> tf.RaggedTensor:
    """Cuts at the borders, which go."""
    return parts.with_values(tf.strings.split(parts.flat_values, BORDER)).merge_dims(1, 2)


def rows(splits: Tensor) -> Tensor:
    """The row of each value of a ragged tensor, int64 [N], from its row splits.

    RaggedTensor's own `value_rowids` lays out rows times the longest row on the way.
    """
    return tf.searchsorted(splits[1:], tf.range(splits[-1]), "right", tf.int64)


def join(parts: tf.RaggedTensor) -> Tensor:
    """The joined parts of each text: ragged string [B, None] to string [B]."""
    return tf.strings.unsorted_segment_join(
        parts.flat_values, rows(parts.row_splits), parts.nrows()
    )


def any_of(strings: Iterable[str]) -> str:
    """An expression that matches any of the strings, the longest where several begin."""
    return "|".join(map(re.escape, sorted(strings, key=len, reverse=True)))
