"""The twin of `SentencePieceTokenizer`, by TF Text."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_text as tf_text

from llm_keras.tokenizers import segments
from llm_keras.tokenizers.in_graph import cutting


class InGraphSentencePiece(tf.Module):
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
        texts = cutting.clean(texts)
        if not self._patterns:
            return self._tokenizer.tokenize(texts)
        parts = cutting.whole(texts)
        for pattern in self._patterns:
            parts = cutting.around(parts, pattern)
        return parts.with_values(self._tokenizer.tokenize(parts.flat_values)).merge_dims(1, 2)

    def decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Texts of ids.

        Args:
            ids: Ragged int32 [B, None], each in [0, vocabulary size).

        Returns:
            string [B], valid UTF-8: special pieces give nothing, bytes that are no UTF-8 U+FFFD.
        """
        return self._tokenizer.detokenize(ids)
