"""What attention may see, as numbers that are added to its scores.

B rows, N query heads, T query positions, S key positions. A mask is float32 [B or 1, N or 1,
T or 1, S]: 0, or a bias by distance, where a key is seen, and `MASKED` where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from llm_keras.layers.shapes import sizes

#: Added to a score that must not count: far below any score, finite in float32.
MASKED = -1e9


def additive(seen: tf.Tensor) -> tf.Tensor:
    """Float32 of the same shape: 0 where a key is seen, else `MASKED`."""
    return tf.where(seen, 0.0, MASKED)


def in_reach(
    queries: tf.Tensor, keys: tf.Tensor, causal: bool, window: int | None = None
) -> tf.Tensor:
    """Whether a query at one place sees a key at another.

    Args:
        queries: int32 [..., T], places in the row.
        keys: int32 [..., S].
        causal: Whether a query sees no key after it.
        window: Places that a query sees to each side, its own counted; None: all.

    Returns:
        bool [..., T, S].

    References:
        The window: Beltagy et al. 2020, section 3.1; Jiang et al. 2023, section 2.
    """
    distance = keys[..., None, :] - queries[..., :, None]
    seen = distance <= 0 if causal else tf.ones_like(distance, tf.bool)
    if window is not None:
        seen &= tf.abs(distance) < window
    return seen


@dataclass(frozen=True)
class RowMask:
    """The mask of rows that attend to themselves, made block by block.

    Attributes:
        length: T, which is S.
        causal: See `in_reach`.
        window: See `in_reach`.
        segments: int32 [B, T], the document of each position; a query sees keys of its own
            document only. Segment 0, the filling, sees itself, which keeps every softmax finite.
            None: one document a row.
        distance_bias: float32 [N, 2 T - 1], added to the score of a key that lies ``d`` places
            after its query at ``d + T - 1``; None: nothing is added.
    """

    length: int | tf.Tensor
    causal: bool
    window: int | None = None
    segments: tf.Tensor | None = None
    distance_bias: tf.Tensor | None = None

    def whole(self) -> tf.Tensor:
        """Float32 [B or 1, N or 1, T, T]."""
        return self.block(0, self.length, 0, self.length)

    def block(
        self,
        first_query: int,
        end_query: int | tf.Tensor,
        first_key: int,
        end_key: int | tf.Tensor,
    ) -> tf.Tensor:
        """Float32 [B or 1, N or 1, t, s] of queries `first_query`... on keys `first_key`..."""
        queries, keys = tf.range(first_query, end_query), tf.range(first_key, end_key)
        seen = tf.expand_dims(in_reach(queries, keys, self.causal, self.window), 0)
        if self.segments is not None:
            of_queries = self.segments[:, first_query:end_query]
            of_keys = self.segments[:, first_key:end_key]
            seen &= of_queries[:, :, None] == of_keys[:, None, :]
        mask = tf.expand_dims(additive(seen), 1)
        if self.distance_bias is not None:
            mask += tf.expand_dims(bias_of(self.distance_bias, queries, keys), 0)
        return mask

    def keys_seen(self, first_query: int, end_query: int) -> tuple[int, int]:
        """The keys outside of which no query of a block sees any, where T is known."""
        first = 0 if self.window is None else max(0, first_query - self.window + 1)
        if self.causal:
            return first, end_query
        assert isinstance(self.length, int)
        end = self.length if self.window is None else end_query + self.window - 1
        return first, min(end, self.length)


def bias_of(distance_bias: tf.Tensor, queries: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Biases [N, 2 L - 1] of pairs of places int32 [..., T] and [..., S]: [N, ..., T, S]."""
    length = (sizes(distance_bias)[1] + 1) // 2
    distance = keys[..., None, :] - queries[..., :, None]
    return tf.gather(distance_bias, distance + length - 1, axis=1)


def causal_mask(length: int | tf.Tensor) -> tf.Tensor:
    """Float32 [1, 1, T, T]: each query sees the keys that are not after it."""
    return RowMask(length, causal=True).whole()


def segment_mask(segments: tf.Tensor) -> tf.Tensor:
    """Float32 [B, 1, T, T]: `causal_mask` that also keeps packed documents apart; see `RowMask`."""
    return RowMask(sizes(segments)[1], causal=True, segments=tf.convert_to_tensor(segments)).whole()


def filling_mask(segments: tf.Tensor) -> tf.Tensor:
    """Float32 [B, 1, 1, S]: everybody sees all keys but the filling, segment 0."""
    return additive(segments != 0)[:, None, None, :]
