"""The decode loop: prompts in, tokens out, as one graph without XLA and without Python per token.

Letters in shapes: B rows, P tokens of the longest prompt, N most new tokens, V vocabulary,
D hidden, S stop strings.

Prompts are filled up on the right. A row's own positions follow its own prompt, so what stands in
the filling is overwritten before anything can attend to it, and a row's result depends on neither
the filling nor the rows beside it (up to the rounding of sums in another order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from llm_keras.generation import samplers, stop_strings
from llm_keras.generation.pieces import unescape
from llm_keras.generation.samplers import Sampling
from llm_keras.tokenizers.sentence_piece import BOS_ID, EOS_ID, PAD_ID, UNK_ID

Tensor = Any

#: Ids that are never generated, because they are no text.
FORBIDDEN = (PAD_ID, UNK_ID, BOS_ID)
#: Bytes of the tokenizer's escapes, which may begin in one token and end in another.
ESCAPE_BYTES = 6


class CachedModel(Protocol):
    """What the loop needs of a model."""

    vocabulary_size: int

    def initial_cache(self, batch_size: Tensor, length: Tensor) -> Any:
        """An empty cache for `length` positions."""

    def decode(self, tokens: Tensor, cache: Any, start: Tensor) -> tuple[Tensor, Any]:
        """Hidden states of tokens [B, T] at positions `start` onwards, and the filled cache."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 [..., V] of hidden states [..., D]."""


class StopStrings(NamedTuple):
    """Where a row's text ends, besides eos.

    They are looked for in what the tokens spell: a U+FFFD that will stand for broken bytes in the
    answer is not there yet, and does not match.
    """

    strings: Tensor  #: string [B, S], S >= 1; empty ones never match.
    pieces: Sequence[bytes]  #: What each id spells, as `pieces.piece_bytes`.


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
    stop: StopStrings | None = None,
) -> Generated:
    """Continues each prompt until eos, a stop string or its limit; ends when all rows are done.

    Args:
        model: Weights, with a cache for keys and values.
        prompts: Ragged int32 [B, None], each with at least one token.
        limits: int32 [B], most new tokens of each row, >= 1. Prompt and new tokens together must
            fit the model's context.
        sampling: How each row's tokens are chosen.
        stop: Strings that end a row's text, or None.

    Returns:
        The new tokens; N is the largest limit.
    """
    prompt_lengths = tf.cast(prompts.row_lengths(), tf.int32)
    padded = prompts.to_tensor(PAD_ID)  # [B, P]
    batch, longest = tf.unstack(tf.shape(padded))
    most = tf.maximum(tf.reduce_max(limits), 1)  # the maximum over no rows is a negative number
    chooser = _Chooser(padded, prompt_lengths, limits, sampling, stop, model.vocabulary_size)

    cache = model.initial_cache(batch, longest + most)
    hidden, cache = model.decode(padded, cache, 0)
    last = tf.gather(hidden, prompt_lengths - 1, batch_dims=1)  # [B, D]
    state = chooser.advance(_nothing(batch, most, cache), model.logits(last))

    def going_on(*state: Any) -> Tensor:
        return ~tf.reduce_all(_State(*state).done)

    def one_token(*values: Any) -> _State:
        state = _State(*values)
        # A row that is done goes on writing, in vain; it must not leave the cache.
        position = tf.minimum(prompt_lengths + state.step, longest + most) - 1
        hidden, cache = model.decode(state.latest[:, None], state.cache, position)
        return chooser.advance(state._replace(cache=cache), model.logits(hidden[:, 0]))

    return _State(*tf.while_loop(going_on, one_token, state)).generated


class _Chooser:
    """Chooses tokens from logits and keeps the books; the same for the first token and the rest."""

    def __init__(
        self,
        prompts: Tensor,
        prompt_lengths: Tensor,
        limits: Tensor,
        sampling: Sampling,
        stop: StopStrings | None,
        vocabulary_size: int,
    ) -> None:
        self.prompts = prompts
        self.prompt_lengths = prompt_lengths
        self.limits = limits
        self.sampling = sampling
        self.stop = stop
        self.only_text = _only_text(vocabulary_size)  # made here, once, and not in the loop

    def advance(self, state: _State, logits: Tensor) -> _State:
        """The state with one more token in each row that is not done."""
        made = state.generated
        history = tf.concat([self.prompts, made.tokens], axis=1)
        position = self.prompt_lengths + state.step
        token = samplers.choose(logits + self.only_text, history, position, self.sampling)
        ended = token == EOS_ID
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


def _nothing(batch: Tensor, most: Tensor, cache: Any) -> _State:
    """The state before the first token."""
    return _State(
        step=tf.constant(0),
        latest=tf.zeros([batch], tf.int32),
        done=tf.zeros([batch], tf.bool),
        spelt=tf.fill([batch], ""),
        generated=Generated(
            tokens=tf.fill([batch, most], PAD_ID),
            lengths=tf.zeros([batch], tf.int32),
            log_probabilities=tf.zeros([batch, most]),
            stopped=tf.zeros([batch], tf.bool),
            stop_suffix=tf.zeros([batch], tf.int32),
        ),
        cache=cache,
    )


def _only_text(vocabulary_size: int) -> Tensor:
    """What to add to logits, float32 [V]: -inf for ids that are no text."""
    ids = tf.range(vocabulary_size)
    forbidden = tf.reduce_any(ids[:, None] == FORBIDDEN, axis=1)
    return tf.where(forbidden, -float("inf"), 0.0)
