"""The ids of a tokenizer that are no text."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras.tokenizers import Tokenizer

Tensor = Any


class SpecialIds(NamedTuple):
    """What generation needs to know of a tokenizer besides its pieces."""

    pad: int  #: Fills rows up.
    bos: int  #: What a decoder is given first.
    eos: int  #: Ends a text.
    never: tuple[int, ...]  #: Never generated: they are no text, and do not end one.

    def only_text(self, vocabulary_size: int) -> Tensor:
        """What to add to logits, float32 [V]: -inf for what is never generated."""
        ids = tf.range(vocabulary_size)[:, None]
        forbidden = tf.reduce_any(ids == tf.constant(self.never, tf.int32), axis=1)
        return tf.where(forbidden, -float("inf"), 0.0)


def special_ids(tokenizer: Tokenizer, vocabulary_size: int) -> SpecialIds:
    """Those of a tokenizer whose model may have ids that it lacks (a vocabulary rounded up)."""
    named = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.mask_id}
    named -= {None, tokenizer.eos_id}  # one id may stand for several things
    unknown = range(tokenizer.vocabulary_size, vocabulary_size)
    return SpecialIds(
        pad=tokenizer.pad_id,
        bos=tokenizer.bos_id,
        eos=tokenizer.eos_id,
        never=tuple(sorted({number for number in named if number is not None} | set(unknown))),
    )
