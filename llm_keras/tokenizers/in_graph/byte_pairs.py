"""The twin of byte-level BPE, as TensorFlow ops."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from llm_keras.tokenizers import expressions
from llm_keras.tokenizers.byte_pairs import ADD_SPACE, BytePairs
from llm_keras.tokenizers.in_graph import cutting
from llm_keras.tokenizers.in_graph.merging import Merges
from llm_keras.tokenizers.in_graph.whole_tokens import WholeTokens

Tensor = Any


class InGraphBytePairs(tf.Module):
    """The same ids and the same text as `HuggingFaceTokenizer`, for byte-level BPE.

    Every different word of a batch is merged once, all of them at the same time. The tables are
    part of the object: a SavedModel that holds it needs no file.

    NFC (Qwen 2) is TF Text's, of an older Unicode than Python's: characters that were new after it
    may be composed in Python only.

    Args:
        tables: What the `tokenizer.json` says.
    """

    def __init__(self, tables: BytePairs) -> None:
        super().__init__(name="tokenizer")
        self._composes = tables.composes
        self._steps = [
            None if step == ADD_SPACE else expressions.cut(step) for step in tables.steps
        ]
        spelt = tables.piece_bytes()
        self._pieces = tf.constant(spelt)
        self._merges = Merges(tables, spelt)
        cut_out = tables.file.cut_out.values()
        words = set(tables.file.ids.values()).difference(cut_out) if tables.whole_words else ()
        self._added, self._words = (
            WholeTokens({spelt[number]: number for number in ids}) for ids in (cut_out, words)
        )

    def encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Ids of texts.

        Args:
            texts: string [B], UTF-8; bytes that are none count as U+FFFD.

        Returns:
            Ragged int32 [B, None], without bos and eos.
        """
        return self._added.cut_out(texts, self._encode)

    def decode(self, ids: tf.RaggedTensor) -> Tensor:
        """Texts of ids.

        Args:
            ids: Ragged int32 [B, None], each in [0, vocabulary size).

        Returns:
            string [B], valid UTF-8: special ids give nothing, bytes that are no UTF-8 U+FFFD.
        """
        return cutting.clean(cutting.join(tf.gather(self._pieces, ids)))

    def _encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Ids of texts without added tokens."""
        if self._composes:
            texts = tf_text.normalize_utf8(texts, "NFC")
        parts = cutting.whole(texts)
        for step in self._steps:
            if step is None:
                parts = parts.with_values(_with_space(parts.flat_values))
                continue
            if step.before is not None and step.after is not None:
                parts = cutting.between(parts, step.before, step.after)
            parts = cutting.around(parts, step.words)
        words, place = tf.unique(parts.flat_values, tf.int64)
        ids = self._words.look_up(words, self._merges)
        return parts.with_values(tf.gather(ids, place)).merge_dims(1, 2)


def _with_space(texts: Tensor) -> Tensor:
    """A space before each text that is not empty and does not begin with one."""
    bare = (tf.strings.length(texts) > 0) & (tf.strings.substr(texts, 0, 1) != " ")
    return tf.where(bare, tf.strings.join([" ", texts]), texts)
