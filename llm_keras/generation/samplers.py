"""Choosing the next token: pure functions over logits, each row with its own settings.

Letters in shapes: B rows, V vocabulary, L tokens of history.

A row's choice never depends on the other rows, up to the rounding of the logits themselves. That
is why truncation is a threshold on the logits, and the draw goes through the vocabulary in its own
order: whether the batch was sorted for another row's sake cannot be seen in the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras.generation import row_random

Tensor = Any

#: Largest size of a logit after a penalty, so that no later step can meet inf - inf.
LARGEST_LOGIT = 1e30
#: Smaller temperatures act as this one; it is as good as greedy.
SMALLEST_TEMPERATURE = 1e-6
#: `top_p` looks at this many best tokens before it sorts the whole vocabulary.
NUCLEUS_CANDIDATES = 256


class Sampling(NamedTuple):
    """How each row's tokens are chosen; every field has one value a row, [B]."""

    temperature: Tensor  #: float32 >= 0; 0 takes the most probable token.
    top_k: Tensor  #: int32 >= 0; 0 keeps all tokens.
    top_p: Tensor  #: float32 in (0, 1]; 1 keeps all tokens.
    min_p: Tensor  #: float32 in [0, 1); 0 keeps all tokens.
    repetition_penalty: Tensor  #: float32 > 0; 1 changes nothing.
    seed: Tensor  #: int32, any value.


def choose(logits: Tensor, history: Tensor, position: Tensor, sampling: Sampling) -> Tensor:
    """The next token of each row: penalty, temperature, top-k, top-p, min-p, draw.

    A step that no row asks for costs nothing: sorting is skipped for a greedy batch.

    Args:
        logits: float32 [B, V]; -inf for tokens that may never be chosen.
        history: int32 [B, L], the tokens so far in any order, filled up with one of them.
        position: int32 [B], the place of the chosen token in its sequence.
        sampling: Settings of each row.

    Returns:
        int32 [B].
    """
    sampled = sampling.temperature > 0
    top_k = tf.where(sampled, sampling.top_k, 0)
    top_p = tf.where(sampled, sampling.top_p, 1.0)
    logits = tf.cond(
        tf.reduce_any(sampling.repetition_penalty != 1),
        lambda: penalize_repetition(logits, history, sampling.repetition_penalty),
        lambda: logits,
    )

    def draw_some() -> Tensor:
        kept = scale_by_temperature(logits, sampling.temperature)
        kept = tf.cond(tf.reduce_any(top_k > 0), lambda: keep_top_k(kept, top_k), lambda: kept)
        kept = tf.cond(tf.reduce_any(top_p < 1), lambda: keep_top_p(kept, top_p), lambda: kept)
        kept = keep_min_p(kept, sampling.min_p)
        drawn = draw(kept, row_random.uniform(sampling.seed, position))
        return tf.where(sampled, drawn, most_probable(logits))

    return tf.cond(tf.reduce_any(sampled), draw_some, lambda: most_probable(logits))


def most_probable(logits: Tensor) -> Tensor:
    """The token with the largest logit, the smallest id among equals: int32 [B]."""
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def penalize_repetition(logits: Tensor, history: Tensor, penalty: Tensor) -> Tensor:
    """Makes tokens of the history less likely: ``x / r`` where ``x > 0``, else ``x * r``.

    Args:
        logits: float32 [B, V].
        history: int32 [B, L]; how often a token stands there makes no difference.
        penalty: float32 [B], r; above 1 avoids repetition, below 1 invites it.

    Returns:
        float32 [B, V].

    References:
        Keskar et al. 2019 (CTRL), section 4.1. Differs from the source: a negative logit is
        multiplied, as everybody does since; dividing it would make the token more likely.
    """
    seen = tf.gather(logits, history, batch_dims=1)
    changed = tf.where(seen > 0, seen / penalty[:, None], seen * penalty[:, None])
    changed = tf.where(
        tf.math.is_inf(seen), seen, tf.clip_by_value(changed, -LARGEST_LOGIT, LARGEST_LOGIT)
    )
    rows = tf.broadcast_to(tf.range(tf.shape(history)[0])[:, None], tf.shape(history))
    return tf.tensor_scatter_nd_update(logits, tf.stack([rows, history], axis=-1), changed)


def scale_by_temperature(logits: Tensor, temperature: Tensor) -> Tensor:
    """``(x - max(x)) / t``, float32 [B, V]; the shift keeps tiny temperatures finite."""
    shifted = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    return shifted / tf.maximum(temperature, SMALLEST_TEMPERATURE)[:, None]


def keep_top_k(logits: Tensor, k: Tensor) -> Tensor:
    """Keeps the `k` largest logits and all equal to the last of them; the others become -inf.

    Args:
        logits: float32 [B, V].
        k: int32 [B]; 0, or as much as V, keeps all.

    Returns:
        float32 [B, V].
    """
    vocabulary_size = tf.shape(logits)[-1]
    k = tf.where(k >= vocabulary_size, 0, k)
    best = tf.math.top_k(logits, tf.maximum(tf.reduce_max(k), 1)).values
    last = tf.gather(best, tf.maximum(k - 1, 0), batch_dims=1)
    return _keep_from(logits, tf.where(k > 0, last, -float("inf")))


def keep_top_p(logits: Tensor, p: Tensor) -> Tensor:
    """Keeps the fewest most probable tokens whose probability adds up to at least `p`.

    Tokens as probable as the last of them stay too. The others become -inf.

    Args:
        logits: float32 [B, V].
        p: float32 [B]; 1 keeps all. The most probable token always stays.

    Returns:
        float32 [B, V].

    References:
        Holtzman et al. 2020, section 3.1 (nucleus sampling).
    """
    total = tf.reduce_logsumexp(logits, axis=-1, keepdims=True)

    def last_kept(candidates: Tensor) -> tuple[Tensor, Tensor]:
        """The smallest kept logit [B] and the probability of all candidates [B]."""
        best = tf.math.top_k(logits, candidates).values
        probability = tf.exp(best - total)
        mass = tf.cumsum(probability, axis=-1)
        kept = tf.reduce_sum(tf.cast(mass - probability < p[:, None], tf.int32), axis=-1)
        return tf.gather(best, tf.maximum(kept - 1, 0), batch_dims=1), mass[:, -1]

    vocabulary_size = tf.shape(logits)[-1]
    last, covered = last_kept(tf.minimum(NUCLEUS_CANDIDATES, vocabulary_size))
    last = tf.cond(
        tf.reduce_all((covered >= p) | (p >= 1)),
        lambda: last,
        lambda: last_kept(vocabulary_size)[0],
    )
    return _keep_from(logits, tf.where(p < 1, last, -float("inf")))


def keep_min_p(logits: Tensor, p: Tensor) -> Tensor:
    """Keeps tokens at least `p` times as probable as the most probable one.

    ``x >= max(x) + log(p)``; the others become -inf.

    Args:
        logits: float32 [B, V].
        p: float32 [B]; 0 keeps all, 1 the most probable only.

    Returns:
        float32 [B, V].

    References:
        Nguyen et al. 2024, section 3.
    """
    return _keep_from(logits, tf.reduce_max(logits, axis=-1) + tf.math.log(p))


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """A token with the probabilities ``softmax(logits)``, by inversion of their running sum.

    Args:
        logits: float32 [B, V], not all of a row -inf.
        uniform: float32 [B] in [0, 1).

    Returns:
        int32 [B]; never a token whose logit is -inf.
    """
    weights = tf.exp(logits - tf.reduce_max(logits, axis=-1, keepdims=True))
    sums = tf.cumsum(weights, axis=-1)
    # The first sum above u * total: strictly above, so that a weight of 0 is never hit.
    target = uniform[:, None] * sums[:, -1:]
    return tf.searchsorted(sums, target, side="right")[:, 0]


def _keep_from(logits: Tensor, threshold: Tensor) -> Tensor:
    return tf.where(logits >= threshold[:, None], logits, -float("inf"))
