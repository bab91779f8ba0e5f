"""The functions of an exported causal language model: what a client can ask for, and gets.

Letters in shapes: B rows, T tokens of the longest row, S stop strings, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from llm_keras.export import checks
from llm_keras.export.servable import (
    LENGTHS,
    SHOWN,
    TEXT,
    TOKENS,
    Outputs,
    Servable,
    Signatures,
    at_least_one,
    like,
    scores,
)
from llm_keras.generation import Sampling, TextGenerator

Tensor = Any

SETTINGS = (
    tf.TensorSpec([None], tf.float32, "temperature"),
    tf.TensorSpec([None], tf.int32, "top_k"),
    tf.TensorSpec([None], tf.float32, "top_p"),
    tf.TensorSpec([None], tf.float32, "min_p"),
    tf.TensorSpec([None], tf.float32, "repetition_penalty"),
    tf.TensorSpec([None], tf.int32, "max_new_tokens"),
    tf.TensorSpec([None], tf.int32, "seed"),
    tf.TensorSpec([None, None], tf.string, "stop"),
)


class Continuation(Servable):
    """A causal language model: continues texts, and says how probable they are."""

    _model: TextGenerator

    def own_signatures(self) -> Signatures:
        """Text to text, scores, and the model itself."""
        return {
            "serving_default": (self.serving_default, [TEXT]),
            "generate": (self.generate, [TEXT, *SETTINGS]),
            "score": (self.score, [TEXT]),
            "logits": (self.logits, [TOKENS, LENGTHS]),
        }

    def serving_default(self, text: Tensor) -> Outputs:
        """Continues texts with the settings of the run file.

        The seed is 0: the same text gives the same answer. `generate` takes seeds.
        """
        answer = self._model.answer_as(self._prompts(text), self._settings)
        return {name: getattr(answer, name) for name in SHOWN}

    def generate(
        self,
        text: Tensor,
        temperature: Tensor,
        top_k: Tensor,
        top_p: Tensor,
        min_p: Tensor,
        repetition_penalty: Tensor,
        max_new_tokens: Tensor,
        seed: Tensor,
        stop: Tensor,
    ) -> Outputs:
        """Continues texts, each row with its own settings.

        A row ends at eos, before its first stop string (`finish_reason` is `stop`), or after
        `max_new_tokens` tokens or at the end of the context, whichever comes first (`length`).

        Args:
            text: string [B].
            temperature: float32 [B], 0 takes the most probable token.
            top_k: int32 [B], 0 keeps all tokens.
            top_p: float32 [B], 1 keeps all tokens.
            min_p: float32 [B], 0 keeps all tokens.
            repetition_penalty: float32 [B], 1 for none.
            max_new_tokens: int32 [B].
            seed: int32 [B].
            stop: string [B, S]; empty strings never match.

        Returns:
            text: string [B], without the prompt.
            finish_reason: string [B].
            prompt_tokens, completion_tokens: int32 [B].
            tokens: int32 [B, T], filled up with 0.
            log_probabilities: float32 [B, T].
        """
        settings = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "max_new_tokens": max_new_tokens,
        }
        with tf.control_dependencies(
            checks.same_rows("text", text, seed=seed, stop=stop, **settings)
        ):
            valid = checks.settings_valid(settings) + checks.stop_valid(stop)
        with tf.control_dependencies(valid):  # no work, and no other error, before the checks
            text = tf.identity(text)
            stop = tf.concat([stop, tf.fill([tf.shape(text)[0], 1], "")], axis=1)
        sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed)
        return self._model.answer(self._prompts(text), max_new_tokens, sampling, stop)._asdict()

    def score(self, text: Tensor) -> Outputs:
        """Log-probability of each token of a text, given bos and the tokens before it.

        Args:
            text: string [B], each of at most as many tokens as the context.

        Returns:
            tokens: int32 [B, T], filled up with 0.
            log_probabilities: float32 [B, T], filled up with 0.
            count: int32 [B], tokens of each text.
            sum: float32 [B], of the row's log-probabilities; 0 for an empty text.
        """
        ids = self.tokenizer.encode(text)
        count = tf.cast(ids.row_lengths(), tf.int32)
        with tf.control_dependencies(checks.fits(count, self._context_length, "text")):
            ids = tf.identity(ids)
        some = at_least_one(ids.to_tensor(self._model.ids.pad))
        first = tf.fill([tf.shape(some)[0], 1], self._model.ids.bos)
        shifted = tf.concat([first, some], axis=1)[:, :-1]
        network = self._model.network
        hidden = network.hidden_states({"tokens": shifted})
        return scores(network, hidden, ids, self._model.ids.pad)

    def logits(self, tokens: Tensor, lengths: Tensor) -> Outputs:
        """The model itself: `logits` float32 [B, T, V] for ids as they are, no bos added.

        Position t holds the scores of token t + 1. Beyond a row's length they mean nothing.
        """
        network = self._model.network
        ids = self._checked_tokens(tokens, lengths, self._context_length, network.vocabulary_size)
        return {"logits": like(network({"tokens": at_least_one(ids)}), tokens)}

    def _prompts(self, text: Tensor) -> tf.RaggedTensor:
        return self._fitting(self._model.encode(text), "prompt")
