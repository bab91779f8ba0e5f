"""The tokenizer inside a TensorFlow graph, for a SavedModel that takes text and gives text."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_text as tf_text

from llm_keras.tokenizers import segments

#: A byte that is in no UTF-8 text marks where `segments` cuts: TF Text's own `regex_split` loses
#: what follows a NUL.
_BORDER = b"\xff"
_MARK = _BORDER + rb"\1" + _BORDER


class InGraphTokenizer(tf.Module):
    """The same ids and the same text as `SentencePieceTokenizer`, as TensorFlow ops.

    The model is part of the object: a SavedModel that holds it needs TF Text and no file.

    Args:
        model: The content of a `tokenizer.model` file.
    """

    def __init__(self, model: bytes) -> None:
        super().__init__(name="tokenizer")
        self._tokenizer = tf_text.SentencepieceTokenizer(model=model, out_type=tf.int32)
        self._patterns = segments.patterns(model)

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of texts.

        Args:
            texts: string [B], UTF-8; bytes that are none count as U+FFFD.

        Returns:
            Ragged int32 [B, None], without bos and eos.
        """
        if not self._patterns:
            return self._tokenizer.tokenize(texts)
        clean = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")  # no _BORDER in it
        parts = tf.RaggedTensor.from_row_splits(clean, tf.range(tf.size(clean, tf.int64) + 1))
        for pattern in self._patterns:
            marked = tf.strings.regex_replace(parts.flat_values, f"({pattern})", _MARK)
            parts = parts.with_values(tf.strings.split(marked, _BORDER)).merge_dims(1, 2)
        return parts.with_values(self._tokenizer.tokenize(parts.flat_values)).merge_dims(1, 2)

    def decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Texts of ids.

        Args:
            ids: Ragged int32 [B, None], each in [0, vocabulary size).

        Returns:
            string [B], valid UTF-8: special pieces give nothing, bytes that are no UTF-8 U+FFFD.
        """
        return self._tokenizer.detokenize(ids)


def load(model: bytes) -> InGraphTokenizer:
    """The twin of `tokenizers.load(model)`: a `tf.Module` that a SavedModel can hold."""
    return InGraphTokenizer(model)
