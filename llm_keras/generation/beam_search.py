"""Beam search: the most probable continuations that a few hypotheses at a time can find.

Letters in shapes: B rows, K beams, V vocabulary, N most new tokens, D hidden.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras.generation.cached_model import CachedModel, Prefilled, next_position, prefill
from llm_keras.generation.special_ids import SpecialIds

Tensor = Any

NOT_FOUND = -float("inf")


class Hypotheses(NamedTuple):
    """Continuations of each row, best first; beyond a length there are pad ids and zeros."""

    tokens: Tensor  #: int32 [B, K, N], without eos.
    lengths: Tensor  #: int32 [B, K].
    log_probabilities: Tensor  #: float32 [B, K, N], of the tokens.
    scores: Tensor  #: float32 [B, K], log-probability over length penalty; -inf: there is none.
    finished: Tensor  #: bool [B, K], by eos; otherwise at the row's limit.


class _State(NamedTuple):
    """What goes round the loop."""

    step: Tensor  # int32 scalar, tokens chosen so far
    done: Tensor  # bool [B]
    latest: Tensor  # int32 [B, K], the last token of those alive
    parents: Tensor  # int32 [B, K], the row of the cache that it follows
    alive: Hypotheses  # their scores are log-probabilities
    finished: Hypotheses
    cache: Any


def search(
    model: CachedModel,
    prompts: tf.RaggedTensor,
    limits: Tensor,
    ids: SpecialIds,
    num_beams: int,
    length_penalty: float,
) -> Hypotheses:
    """Searches the continuations ``Y`` with the largest ``log P(Y) / ((5 + |Y|) / 6) ** alpha``.

    Each step looks at all continuations of K hypotheses by one token and takes the 2 K most
    probable: at most K of them end with eos, so that K go on living. Those that end compete with
    the K best finished so far, by score. A row is done when no living hypothesis can beat the worst
    finished one, even if it lost no probability up to the limit, where the penalty is largest; or
    at its limit.

    Args:
        model: Weights, with a cache for keys and values.
        prompts: Ragged int32 [B, None], each with at least one token.
        limits: int32 [B], most new tokens of each row, eos included, >= 1.
        ids: The tokenizer's special ids.
        num_beams: K; 1 takes the most probable token at each step.
        length_penalty: alpha; 0 compares probabilities, larger values favour long texts.

    Returns:
        Finished hypotheses, best first; then, where there are fewer than K, those that were alive.

    References:
        Wu et al. 2016, section 7, the length penalty; the two sets and the early end are those of
        Tensor2Tensor and TF Model Garden. Differs from them: a row's end is its own, so that its
        result does not depend on its batch mates; unfinished hypotheses are scored like finished
        ones; one beam takes one candidate, not two, which makes it greedy search.
    """
    read = prefill(model, prompts, limits, ids.pad)
    beams = _Beams(model.vocabulary_size, read, limits, ids, num_beams, length_penalty)

    def going_on(*state: Any) -> Tensor:
        return ~tf.reduce_all(_State(*state).done)

    def one_token(*values: Any) -> _State:
        state = _State(*values)
        rows = tf.reshape(state.parents, [-1])
        cache = tf.nest.map_structure(lambda part: tf.gather(part, rows), state.cache)
        position = tf.repeat(next_position(read, state.step), num_beams)
        hidden, cache = model.decode(tf.reshape(state.latest, [-1, 1]), cache, position)
        return beams.advance(state._replace(cache=cache), model.logits(hidden[:, 0]))

    logits = tf.repeat(model.logits(read.hidden), num_beams, axis=0)  # of one hypothesis, K times
    state = beams.advance(beams.beginning(), logits)
    return beams.best(_State(*tf.while_loop(going_on, one_token, state)))


class _Beams:
    """Keeps the two sets of hypotheses."""

    def __init__(
        self,
        vocabulary_size: int,
        read: Prefilled,
        limits: Tensor,
        ids: SpecialIds,
        num_beams: int,
        length_penalty: float,
    ) -> None:
        self.vocabulary_size = vocabulary_size
        self.read = read
        self.limits = limits
        self.ids = ids
        self.num_beams = num_beams
        self.candidates = 2 * num_beams if num_beams > 1 else 1
        self.alpha = length_penalty
        self.only_text = ids.only_text(vocabulary_size)  # made here, once, and not in the loop
        rows = tf.range(tf.shape(limits)[0]) * num_beams
        self.rows = rows[:, None] + tf.range(num_beams)  # [B, K], of the cache

    def beginning(self) -> _State:
        """One living hypothesis, the empty one; the cache once for every beam."""
        batch, most, beams = tf.shape(self.limits)[0], self.read.most, self.num_beams
        nothing = Hypotheses(
            tokens=tf.fill([batch, beams, most], self.ids.pad),
            lengths=tf.zeros([batch, beams], tf.int32),
            log_probabilities=tf.zeros([batch, beams, most]),
            scores=tf.fill([batch, beams], NOT_FOUND),
            finished=tf.zeros([batch, beams], tf.bool),
        )
        first = tf.one_hot(tf.zeros([batch], tf.int32), beams, 0.0, NOT_FOUND)
        return _State(
            step=tf.constant(0),
            done=tf.zeros([batch], tf.bool),
            latest=tf.zeros([batch, beams], tf.int32),
            parents=self.rows,
            alive=nothing._replace(scores=first),
            finished=nothing,
            cache=tf.nest.map_structure(
                lambda part: tf.repeat(part, beams, axis=0), self.read.cache
            ),
        )

    def advance(self, state: _State, logits: Tensor) -> _State:
        """One more token in each living hypothesis of the rows that are not done."""
        longer, parent, token = self._candidates(state, logits)
        penalty = self._penalty(state.step + 1)
        ended = longer._replace(
            scores=tf.where(longer.finished, longer.scores / penalty, NOT_FOUND)
        )
        finished, _ = self._keep_best(_joined(state.finished, ended))
        going = longer._replace(
            scores=tf.where(longer.finished, NOT_FOUND, longer.scores),
            finished=tf.zeros_like(longer.finished),
        )
        alive, kept = self._keep_best(going)
        followed = tf.gather(self.rows, tf.gather(parent, kept, batch_dims=1), batch_dims=1)
        latest = tf.gather(token, kept, batch_dims=1)

        def unless_done(new: Tensor, old: Tensor) -> Tensor:
            done = tf.reshape(state.done, [-1] + [1] * (new.shape.rank - 1))
            return tf.where(done, old, new)

        alive = tf.nest.map_structure(unless_done, alive, state.alive)
        finished = tf.nest.map_structure(unless_done, finished, state.finished)
        return state._replace(
            step=state.step + 1,
            done=state.done | self._decided(alive, finished) | (state.step + 1 >= self.limits),
            latest=latest,
            parents=followed,
            alive=alive,
            finished=finished,
        )

    def best(self, state: _State) -> Hypotheses:
        """The finished hypotheses, and in the places that are left those alive."""
        alive = state.alive._replace(scores=state.alive.scores / self._penalty(state.alive.lengths))
        both = _joined(state.finished, alive)
        missing = tf.cast(~state.finished.finished, tf.int32) * 2
        order = tf.argsort(tf.concat([missing, tf.ones_like(missing)], axis=1), axis=1, stable=True)
        return _taken(both, order[:, : self.num_beams])

    def _candidates(self, state: _State, logits: Tensor) -> tuple[Hypotheses, Tensor, Tensor]:
        """The most probable continuations by one token, their parents and that token."""
        beams, vocabulary = self.num_beams, self.vocabulary_size
        flat = [-1, beams * vocabulary]
        own = tf.reshape(tf.nn.log_softmax(logits), [-1, beams, vocabulary])
        total = state.alive.scores[:, :, None] + (own + self.only_text)
        scores, index = tf.math.top_k(tf.reshape(total, flat), self.candidates)
        parent, token = index // vocabulary, index % vocabulary

        before = _taken(state.alive, parent)
        ended = token == self.ids.eos
        here = (tf.range(self.read.most) == state.step) & ~ended[:, :, None]
        log_probability = tf.gather(tf.reshape(own, flat), index, batch_dims=1)
        longer = Hypotheses(
            tokens=tf.where(here, token[:, :, None], before.tokens),
            lengths=before.lengths + tf.cast(~ended, tf.int32),
            log_probabilities=tf.where(here, log_probability[:, :, None], before.log_probabilities),
            scores=scores,
            finished=ended & (scores > NOT_FOUND),
        )
        return longer, parent, token

    def _keep_best(self, hypotheses: Hypotheses) -> tuple[Hypotheses, Tensor]:
        """The K of largest score, and where they stood: int32 [B, K]."""
        _, places = tf.math.top_k(hypotheses.scores, self.num_beams)
        return _taken(hypotheses, places), places

    def _decided(self, alive: Hypotheses, finished: Hypotheses) -> Tensor:
        """Whether nothing alive can beat the worst finished hypothesis: bool [B]."""
        hope = alive.scores[:, 0] / self._penalty(self.limits)
        worst = tf.reduce_min(tf.where(finished.finished, finished.scores, 0.0), axis=1)
        return finished.finished[:, 0] & (worst > hope)

    def _penalty(self, length: Tensor) -> Tensor:
        return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** self.alpha


def _joined(first: Hypotheses, second: Hypotheses) -> Hypotheses:
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=1), first, second)


def _taken(hypotheses: Hypotheses, places: Tensor) -> Hypotheses:
    """Those at `places` int32 [B, k] of each row."""
    return tf.nest.map_structure(lambda part: tf.gather(part, places, batch_dims=1), hypotheses)
