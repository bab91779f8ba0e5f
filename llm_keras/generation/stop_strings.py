"""Finding stop strings in text that is still being generated, byte for byte.

A stop string may begin in one token and end in another, or lie in the middle of one. So after every
token the last bytes are searched, as many as a stop string can have begun in.

Letters in shapes: B rows, S >= 1 stop strings, W bytes of text, M bytes of the longest stop string.
An empty stop string never matches: rows with fewer stop strings are filled up with it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


def found_suffix(text: Tensor, stop: Tensor) -> Tensor:
    """Bytes from the start of the earliest stop string to the end of the text.

    Args:
        text: string [B].
        stop: string [B, S].

    Returns:
        int32 [B]; 0 where no stop string occurs.
    """
    text_length, stop_length = tf.strings.length(text), tf.strings.length(stop)
    longest = tf.maximum(tf.reduce_max(stop_length), 1)
    width = tf.maximum(tf.reduce_max(text_length), 1)

    start, offset = tf.range(width), tf.range(longest)
    windows = tf.gather(_bytes(text, width + longest), start[:, None] + offset, axis=1)
    same = windows[:, None] == _bytes(stop, longest)[:, :, None]  # [B, S, W, M]
    beyond = offset >= stop_length[:, :, None, None]
    inside = start + stop_length[:, :, None] <= text_length[:, None, None]  # [B, S, W]
    found = tf.reduce_all(same | beyond, axis=-1) & inside & (stop_length > 0)[:, :, None]
    suffix = tf.where(found, text_length[:, None, None] - start, 0)
    return tf.reduce_max(suffix, axis=[1, 2])


def tail(text: Tensor, stop: Tensor, added: int) -> Tensor:
    """The end of each text in which a stop string may lie that was not there before.

    Args:
        text: string [B].
        stop: string [B, S].
        added: Most bytes by which the text has grown since it was last searched.

    Returns:
        string [B].
    """
    longest = tf.reduce_max(tf.strings.length(stop), axis=1)
    length = tf.strings.length(text)
    kept = tf.minimum(length, longest + added)
    return tf.strings.substr(text, length - kept, kept)


def cut_suffix(text: Tensor, suffix: Tensor) -> Tensor:
    """`text` without its last `suffix` bytes: string [B]."""
    return tf.strings.substr(text, tf.zeros_like(suffix), tf.strings.length(text) - suffix)


def _bytes(strings: Tensor, width: Tensor) -> Tensor:
    """uint8 [..., width], zeros after the end of each string."""
    return tf.io.decode_raw(strings, tf.uint8, fixed_length=width)
