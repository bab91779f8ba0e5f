"""Which tokens a masked language model must guess, and what it sees in their place.

B rows, T positions, M places a row at most, V vocabulary.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from llm_keras import config
from llm_keras.layers.dropout import random_words
from llm_keras.layers.placement import on_mesh

_CHOICE, _REPLACEMENT = zlib.crc32(b"masking/choice"), zlib.crc32(b"masking/replacement")


class Masked(NamedTuple):
    """A batch with tokens hidden.

    Attributes:
        tokens: int32 [B, T], what the model sees.
        places: int32 [B, M], the positions to guess; M depends on T alone.
        weights: float32 [B, M]: 1 for a place to guess, 0 where a row has fewer than M.
    """

    tokens: tf.Tensor
    places: tf.Tensor
    weights: tf.Tensor


@keras.saving.register_keras_serializable(package="llm_keras")
@dataclass(frozen=True)
class Masking:
    """Hides tokens as a function of a key, the row's number and the position alone.

    Of a row's n tokens of text, ``max(1, round(fraction n))`` are chosen. Of those the part
    `masked` is shown as the mask piece, the part `random` as a random token of text, and the rest
    as they are. Special tokens and filling are neither chosen nor shown in place of another.

    Args:
        settings: Section `training.masking` of a run.
        vocabulary_size: V.
        mask_id: The mask piece.
        special_ids: What is no text: pad, bos, eos, unk; the mask piece is one anyway.

    Call arguments:
        tokens: int32 [B, T], T known.
        segments: int32 [B, T], 0 for filling; None: no filling.
        key: int32 [B, 2], see `layers.KeyedDropout`.

    Returns:
        `Masked`.

    References:
        Devlin et al. 2019, section 3.1, "Masked LM", and appendix A.1. Differs from the source:
        masks are drawn anew for every update (Liu et al. 2019, section 4.1).
    """

    settings: config.Masking
    vocabulary_size: int
    mask_id: int
    special_ids: Collection[int]

    def __call__(self, tokens: tf.Tensor, segments: tf.Tensor | None, key: tf.Tensor) -> Masked:
        """Hides tokens; see the class."""
        length = tokens.shape[1]
        is_text = tf.constant(self._is_text())
        free = tf.gather(is_text, tokens)
        if segments is not None:
            free &= segments != 0
        words = random_words(key, _CHOICE, length)
        most = max(1, math.floor(self.settings.fraction * length + 0.5))
        # 31 bits choose, and others of the same word say what is shown.
        score = tf.cast(tf.bitwise.right_shift(words, tf.constant(33, tf.uint64)), tf.int32)
        _, places = tf.math.top_k(tf.where(free, score, -1), most)
        weights = self._weights(free, most)
        shown = self._shown(tokens, words, key)
        if on_mesh():  # A device has its rows alone, and they are counted over all.
            hits = tf.one_hot(places, length) * tf.expand_dims(weights, -1)
            chosen = tf.reduce_sum(hits, axis=1)
        else:
            rows = tf.broadcast_to(tf.range(tf.shape(tokens)[0])[:, None], tf.shape(places))
            chosen = tf.scatter_nd(tf.stack([rows, places], axis=-1), weights, tf.shape(tokens))
        return Masked(tf.where(chosen > 0, shown, tokens), places, weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "settings": self.settings.model_dump(),
            "vocabulary_size": self.vocabulary_size,
            "mask_id": self.mask_id,
            "special_ids": sorted(self.special_ids),
        }

    @classmethod
    def from_config(cls, arguments: dict[str, Any]) -> Masking:
        """The masking that `get_config` tells of."""
        settings = config.Masking.model_validate(arguments["settings"])
        return cls(**{**arguments, "settings": settings})

    def _weights(self, free: tf.Tensor, most: int) -> tf.Tensor:
        """1 for as many of the places as the row has to guess."""
        tokens = tf.reduce_sum(tf.cast(free, tf.float32), axis=1, keepdims=True)
        wanted = tf.maximum(tf.floor(self.settings.fraction * tokens + 0.5), tf.minimum(tokens, 1))
        return tf.cast(tf.range(most, dtype=tf.float32) < wanted, tf.float32)

    def _shown(self, tokens: tf.Tensor, words: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """What would be seen at each position if it were chosen: int32 [B, T]."""
        share = tf.cast(words & tf.constant(2**16 - 1, tf.uint64), tf.float32) / 2**16
        text = np.flatnonzero(self._is_text()).astype("int32")
        draws = random_words(key, _REPLACEMENT, tokens.shape[1])
        number = tf.math.floormod(draws, tf.constant(len(text), tf.uint64))
        other = tf.gather(tf.constant(text), tf.cast(number, tf.int32))
        changed = share < self.settings.masked + self.settings.random
        seen = tf.where(changed, other, tokens)
        return tf.where(share < self.settings.masked, self.mask_id, seen)

    def _is_text(self) -> np.ndarray:
        """Whether each id is text: bool [V]."""
        is_text = np.ones(self.vocabulary_size, bool)
        is_text[[*self.special_ids, self.mask_id]] = False
        return is_text
