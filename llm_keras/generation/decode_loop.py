"""The decode loop: prompts in, tokens out, as one graph without XLA and without Python per token.

Letters in shapes: B rows, P tokens of the longest prompt, N most new tokens, V vocabulary,
D hidden, S stop strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras.generation import samplers, stop_strings
from llm_keras.generation.cached_model import CachedModel, Prefilled, next_position, prefill
from llm_keras.generation.pieces import unescape
from llm_keras.generation.samplers import Sampling
from llm_keras.generation.special_ids import SpecialIds

Tensor = Any

#: Bytes of the tokenizer's escapes, which may begin in one token and end in another.
ESCAPE_BYTES = 6


class StopStrings(NamedTuple):
    """Where a row's text ends, besides eos.

    They are looked for in what the tokens spell: a U+FFFD that will stand for broken bytes in the
    answer is not there yet, and does not match.
    """

    strings: Tensor  #: string [B, S], S >= 1; empty ones never match.
    pieces: Sequence[bytes]  #: What each id spells, as `Tokenizer.piece_bytes`.


class Generated(NamedTuple):
    """What the loop made; beyond a row's length there are pad ids and zeros."""

    tokens: Tensor  #: int32 [B, N], without eos.
    lengths: Tensor  #: int32 [B].
    log_probabilities: Tensor  #: float32 [B, N], of the tokens under the model itself.
    stopped: Tensor  #: bool [B], by eos or a stop string; otherwise at the row's limit.
    stop_suffix: Tensor  #: int32 [B], bytes from the stop string's start to the text's end.


class _State(NamedTuple):
    """What goes round the loop."""

    step: Tensor  # int32 scalar, tokens chosen so far
    latest: Tensor  # int32 [B], the last of them
    done: Tensor  # bool [B]
    spelt: Tensor  # string [B], their bytes; stays empty where nobody looks for stop strings
    generated: Generated
    cache: Any


def generate(
    model: CachedModel,
    prompts: tf.RaggedTensor,
    limits: Tensor,
    sampling: Sampling,
    ids: SpecialIds,
    stop: StopStrings | None = None,
) -> Generated:
    """Continues each prompt until eos, a stop string or its limit; ends when all rows are done.

    Args:
        model: Weights, with a cache for keys and values.
        prompts: Ragged int32 [B, None], each with at least one token.
        limits: int32 [B], most new tokens of each row, >= 1. Prompt and new tokens together must
            fit the model's context.
        sampling: How each row's tokens are chosen.
        ids: The tokenizer's special ids.
        stop: Strings that end a row's text, or None.

    Returns:
        The new tokens; N is the largest limit.
    """
    read = prefill(model, prompts, limits, ids.pad)
    chooser = _Chooser(model.vocabulary_size, read, limits, sampling, ids, stop)
    state = chooser.advance(chooser.beginning(), model.logits(read.hidden))

    def going_on(*state: Any) -> Tensor:
        return ~tf.reduce_all(_State(*state).done)

    def one_token(*values: Any) -> _State:
        state = _State(*values)
        position = next_position(read, state.step)
        hidden, cache = model.decode(state.latest[:, None], state.cache, position)
        return chooser.advance(state._replace(cache=cache), model.logits(hidden[:, 0]))

    return _State(*tf.while_loop(going_on, one_token, state)).generated


class _Chooser:
    """Chooses tokens from logits and keeps the books; the same for the first token and the rest."""

    def __init__(
        self,
        vocabulary_size: int,
        read: Prefilled,
        limits: Tensor,
        sampling: Sampling,
        ids: SpecialIds,
        stop: StopStrings | None,
    ) -> None:
        self.read = read
        self.limits = limits
        self.sampling = sampling
        self.ids = ids
        self.stop = stop
        inside = tf.range(tf.shape(read.prompts)[1]) < read.lengths[:, None]
        # Pad may be eos as well, and is not yet said: a token of the row stands for it.
        self.said = tf.where(inside, read.prompts, read.prompts[:, :1])
        self.only_text = ids.only_text(vocabulary_size)  # made here, once, and not in the loop

    def beginning(self) -> _State:
        """The state before the first token."""
        batch, most = tf.shape(self.limits)[0], self.read.most
        return _State(
            step=tf.constant(0),
            latest=tf.zeros([batch], tf.int32),
            done=tf.zeros([batch], tf.bool),
            spelt=tf.fill([batch], ""),
            generated=Generated(
                tokens=tf.fill([batch, most], self.ids.pad),
                lengths=tf.zeros([batch], tf.int32),
                log_probabilities=tf.zeros([batch, most]),
                stopped=tf.zeros([batch], tf.bool),
                stop_suffix=tf.zeros([batch], tf.int32),
            ),
            cache=self.read.cache,
        )

    def advance(self, state: _State, logits: Tensor) -> _State:
        """The state with one more token in each row that is not done."""
        made = state.generated
        chosen = tf.range(self.read.most) < state.step
        history = [self.said, tf.where(chosen, made.tokens, self.said[:, :1])]
        position = self.read.lengths + state.step
        token = samplers.choose(
            logits + self.only_text, tf.concat(history, axis=1), position, self.sampling
        )
        ended = token == self.ids.eos
        spelt, suffix = self._search(state.spelt, token)

        going = ~state.done
        stopped = going & (ended | (suffix > 0))
        counted = going & ~ended
        here = (tf.range(tf.shape(made.tokens)[1]) == state.step) & counted[:, None]  # [B, N]
        log_probability = tf.gather(tf.nn.log_softmax(logits), token, batch_dims=1)
        return state._replace(
            step=state.step + 1,
            latest=token,
            done=state.done | stopped | (state.step + 1 >= self.limits),
            spelt=spelt,
            generated=Generated(
                tokens=tf.where(here, token[:, None], made.tokens),
                lengths=made.lengths + tf.cast(counted, tf.int32),
                log_probabilities=tf.where(here, log_probability[:, None], made.log_probabilities),
                stopped=made.stopped | stopped,
                stop_suffix=tf.where(going, suffix, made.stop_suffix),
            ),
        )

    def _search(self, spelt: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """The bytes so far with the token's, and how many of them a stop string takes away."""
        nothing = tf.zeros_like(token)
        if self.stop is None:
            return spelt, nothing
        strings, pieces = self.stop

        def search() -> tuple[Tensor, Tensor]:
            longer = tf.strings.join([spelt, tf.gather(tf.constant(pieces), token)])
            added = max(map(len, pieces)) + ESCAPE_BYTES
            tail = stop_strings.tail(unescape(longer), strings, added)
            return longer, stop_strings.found_suffix(tail, strings)

        wanted = tf.reduce_any(tf.strings.length(strings) > 0)
        return tf.cond(wanted, search, lambda: (spelt, nothing))
