"""Strings that are one token as they stand: added tokens, and whole words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from llm_keras.tokenizers.in_graph import cutting

Tensor = Any


class WholeTokens(tf.Module):
    """A table of strings and their ids.

    Args:
        ids: What is one token, to its id. May be empty.
    """

    def __init__(self, ids: Mapping[bytes, int]) -> None:
        super().__init__()
        self._pattern = cutting.any_of(key.decode("utf-8", "replace") for key in ids)
        self._table = None
        if ids:
            content = tf.lookup.KeyValueTensorInitializer(
                tf.constant(list(ids)), tf.constant(list(ids.values()), tf.int32)
            )
            self._table = tf.lookup.StaticHashTable(content, default_value=-1)

    def cut_out(
        self, texts: Tensor, encode: Callable[[Tensor], tf.RaggedTensor]
    ) -> tf.RaggedTensor:
        """Ids of texts: the tokens wherever they stand, and `encode` of what is between them.

        Args:
            texts: string [B], UTF-8; bytes that are none count as U+FFFD.
            encode: string [P], valid UTF-8, to ragged int32 [P, None].
        """
        parts = cutting.whole(cutting.clean(texts))
        if self._table is None:
            return encode(parts.flat_values)
        parts = cutting.around(parts, self._pattern)
        return parts.with_values(self.look_up(parts.flat_values, encode)).merge_dims(1, 2)

    def look_up(
        self, strings: Tensor, encode: Callable[[Tensor], tf.RaggedTensor]
    ) -> tf.RaggedTensor:
        """Ids of strings that are tokens themselves, and `encode` of the others.

        Args:
            strings: string [P].
            encode: string [P], empty for those that are tokens, to ragged int32 [P, None].
        """
        if self._table is None:
            return encode(strings)
        ids = self._table.lookup(strings)
        found = ids >= 0
        single = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(ids, found), tf.cast(found, tf.int64)
        )
        return tf.concat([single, encode(tf.where(found, "", strings))], axis=1)
