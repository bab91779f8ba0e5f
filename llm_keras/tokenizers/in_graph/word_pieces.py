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
        self._replacements = tf.constant(table.replacements)
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
        spelt = tf.strings.reduce_join(tf.gather(self._pieces, ids), axis=-1)
        return tf.strings.regex_replace(spelt, r"\A ", "")

    def _encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Ids of texts without added tokens."""
        parts = cutting.at_borders(cutting.whole(self._clean(texts)))
        words = parts.flat_values
        too_long = tf.strings.length(words, "UTF8_CHAR") > self._longest_word
        ids = self._tokenizer.tokenize(tf.where(too_long, self._unknown, words))
        return parts.with_values(ids).merge_dims(1, 2)

    def _clean(self, texts: Tensor) -> Tensor:
        """Each text's characters as the table has them, with borders between words."""
        points = tf.strings.unicode_decode(texts, "UTF-8")
        flat = points.flat_values
        becomes = tf.gather(self._becomes, tf.searchsorted(self._starts, flat, side="right") - 1)
        same = tf.strings.unicode_encode(flat[:, None], "UTF-8")
        alone = tf.strings.join([cutting.BORDER, same, cutting.BORDER])
        other = tf.gather(self._replacements, becomes)
        kept = tf.where(becomes == characters.ALONE, alone, other)
        kept = tf.where(becomes == characters.SAME, same, kept)
        return tf.strings.reduce_join(points.with_values(kept), axis=-1)


def _vocabulary(tables: WordPieces) -> list[str]:
    """Pieces in the order of ids; those that are special stand under names no word can have."""
    ordinary, unknown = tables.file.ids, tables.unknown
    return [
        piece if piece in ordinary or piece == unknown else f" {number}"
        for number, piece in enumerate(tables.file.pieces)
    ]
