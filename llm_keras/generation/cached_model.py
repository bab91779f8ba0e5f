"""What generation needs of a model: weights, a cache, and one function that goes on from it.

Letters in shapes: B rows, P tokens of the longest prompt, T tokens at once, S tokens of the longest
source, D hidden, V vocabulary.

Prompts are filled up on the right. A row's own positions follow its own prompt, so what stands in
the filling is overwritten before anything can attend to it, and a row's result depends on neither
the filling nor the rows beside it (up to the rounding of sums in another order).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import tensorflow as tf

Tensor = Any


class CachedModel(Protocol):
    """A decoder with a cache; axis 0 of every tensor in the cache is the row."""

    vocabulary_size: int

    def initial_cache(self, batch_size: Tensor, length: Tensor) -> Any:
        """A cache with room for `length` positions."""

    def decode(self, tokens: Tensor, cache: Any, start: Tensor) -> tuple[Tensor, Any]:
        """Hidden states of tokens [B, T] at positions `start` onwards, and the filled cache."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 [..., V] of hidden states [..., D]."""


class WithSource:
    """An encoder-decoder that has a source to look at: to generation, a decoder like any other.

    Args:
        network: A `models.EncoderDecoder`.
        source: Ragged int32 [B, None], each row `ids eos`.
        pad: Id that rows are filled up with.
    """

    def __init__(self, network: Any, source: tf.RaggedTensor, pad: int) -> None:
        self.vocabulary_size: int = network.vocabulary_size
        self.decode, self.logits = network.decode, network.logits
        self._network, self._source, self._pad = network, source, pad

    def initial_cache(self, batch_size: Tensor, length: Tensor) -> Any:
        """Encodes the source; the cache holds the keys and values that the decoder looks up."""
        return self._network.initial_cache(batch_size, length, *filled_up(self._source, self._pad))


def filled_up(rows: tf.RaggedTensor, pad: int) -> tuple[Tensor, Tensor]:
    """Ids [B, T] with pad after each row's end, and their segments: 1 inside, 0 beyond."""
    tokens = rows.to_tensor(pad)
    lengths = tf.cast(rows.row_lengths(), tf.int32)
    return tokens, tf.cast(tf.range(tf.shape(tokens)[1]) < lengths[:, None], tf.int32)


class Prefilled(NamedTuple):
    """A model that has read its prompts."""

    prompts: Tensor  #: int32 [B, P], filled up with pad.
    lengths: Tensor  #: int32 [B], of the prompts.
    most: Tensor  #: int32 scalar, new tokens that the cache has room for.
    hidden: Tensor  #: float [B, D], at each prompt's last token.
    cache: Any


def prefill(model: CachedModel, prompts: tf.RaggedTensor, limits: Tensor, pad: int) -> Prefilled:
    """Puts prompts into a cache that also has room for `limits` new tokens a row."""
    lengths = tf.cast(prompts.row_lengths(), tf.int32)
    padded = prompts.to_tensor(pad)
    batch, longest = tf.unstack(tf.shape(padded))
    most = tf.maximum(tf.reduce_max(limits), 1)  # the maximum over no rows is a negative number
    cache = model.initial_cache(batch, longest + most)
    hidden, cache = model.decode(padded, cache, 0)
    last = tf.gather(hidden, lengths - 1, batch_dims=1)
    return Prefilled(padded, lengths, most, last, cache)


def next_position(read: Prefilled, step: Tensor) -> Tensor:
    """Where each row's latest token stands, after `step` new ones: int32 [B].

    A row that is done goes on writing, in vain; it must not leave the cache.
    """
    room = tf.shape(read.prompts)[1] + read.most
    return tf.minimum(read.lengths + step, room) - 1
