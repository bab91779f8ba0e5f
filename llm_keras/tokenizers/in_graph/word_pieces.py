"""The twin of BERT's WordPiece, as TensorFlow ops."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from llm_keras.tokenizers import characters
from llm_keras.tokenizers.in_graph import cutting
from llm_keras.tokenizers.in_graph.whole_tokens import WholeTokens
from llm_keras.tokenizers.word_pieces import WordPieces

Tensor = Any


class InGraphWordPieces(tf.Module):
    """The same ids and the same text as `HuggingFaceTokenizer`, for WordPiece.

    Cleaning, case, accents and the cuts around punctuation are one table over all characters; the
    pieces of a word are found by TF Text. The table has no order of marks: where a text has
    several combining marks that are no accents on one character (a handful of Hangul tone marks
    and musical signs), in an order that Unicode does not call canonical, Python sorts them.

    Args:
        tables: What the `tokenizer.json` says.
    """

    def __init__(self, tables: WordPieces) -> None:
        super().__init__(name="tokenizer")
        table = characters.table(tables)
        self._starts = tf.constant(table.starts, tf.int32)
        self._becomes = tf.constant(table.becomes, tf.int32)
        self._replacements = tf.ragged.constant(table.replacements, tf.int32)
        self._pieces = tf.constant(tables.piece_bytes())
        self._unknown, self._longest_word = tables.unknown, tables.longest_word
        self._added = WholeTokens({k.encode(): v for k, v in tables.file.cut_out.items()})
        self._tokenizer = tf_text.FastWordpieceTokenizer(
            vocab=_vocabulary(tables),
            suffix_indicator=tables.prefix,
            max_bytes_per_word=tf.int32.max,
            token_out_type=tf.int32,
            unknown_token=tables.unknown,
            no_pretokenization=True,
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
            string [B]: words with a space between them; special ids give nothing.
        """
        spelt = cutting.join(tf.gather(self._pieces, ids))
        return tf.strings.regex_replace(spelt, r"\A ", "")

    def _encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Ids of texts without added tokens."""
        points = self._clean(tf.strings.unicode_decode(texts, "UTF-8"))
        borders = tf.fill([points.nrows(), 1], characters.BORDER)
        points = tf.concat([borders, points], axis=1)
        flat, text = points.flat_values, cutting.rows(points.row_splits)

        begins = flat == characters.BORDER
        word = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        text = tf.boolean_mask(text, begins)  # of each word
        letters = tf.RaggedTensor.from_value_rowids(
            tf.boolean_mask(flat, ~begins), tf.boolean_mask(word, ~begins), tf.size(text, tf.int64)
        )
        too_long = letters.row_lengths() > self._longest_word
        words = tf.where(too_long, self._unknown, tf.strings.unicode_encode(letters, "UTF-8"))
        ids = self._tokenizer.tokenize(words)
        return tf.RaggedTensor.from_value_rowids(ids, text, points.nrows()).merge_dims(1, 2)

    def _clean(self, points: tf.RaggedTensor) -> tf.RaggedTensor:
        """Texts as the table has their characters: ragged int32 [B, None] to the same."""
        flat = points.flat_values
        place = tf.searchsorted(self._starts, flat, side="right") - 1
        cleaned = tf.gather(self._replacements, tf.gather(self._becomes, place))  # [N, None]
        kept = cleaned.flat_values
        origin = tf.gather(flat, cutting.rows(cleaned.row_splits))
        cleaned = cleaned.with_flat_values(tf.where(kept == characters.SAME, origin, kept))
        return points.with_values(cleaned).merge_dims(1, 2)


def _vocabulary(tables: WordPieces) -> list[str]:
    """Pieces in the order of ids; those that are special stand under names no word can have."""
    ordinary, unknown = tables.file.ids, tables.unknown
    return [
        piece if piece in ordinary or piece == unknown else f" {number}"
        for number, piece in enumerate(tables.file.pieces)
    ]
