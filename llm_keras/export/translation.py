"""The functions of an exported encoder-decoder.

Letters in shapes: B rows, T tokens of the longest row.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from llm_keras.export import checks
from llm_keras.export.servable import (
    SHOWN,
    TEXT,
    Outputs,
    Servable,
    Signatures,
    at_least_one,
    scores,
)
from llm_keras.generation import Translator
from llm_keras.generation.cached_model import filled_up

Tensor = Any

PAIR = (tf.TensorSpec([None], tf.string, "source"), tf.TensorSpec([None], tf.string, "target"))


class Translation(Servable):
    """An encoder-decoder: gives a text for a text, and says how probable a given one is."""

    _model: Translator

    def own_signatures(self) -> Signatures:
        """Text to text, and scores of pairs."""
        return {
            "serving_default": (self.translate, [TEXT]),
            "translate": (self.translate, [TEXT]),
            "score": (self.score, PAIR),
        }

    def translate(self, text: Tensor) -> Outputs:
        """Translates texts with the settings of the run file: beam search, or sampling by seed 0.

        Args:
            text: string [B], each of at most as many tokens as the context, eos included.

        Returns:
            text: string [B].
            finish_reason: string [B], `stop`, or `length` where the text did not end by itself.
            prompt_tokens, completion_tokens: int32 [B].
        """
        sources = self._fitting(self._model.encode(text), "text")
        answer = self._model.answer_as(sources, self._settings)
        return {name: getattr(answer, name) for name in SHOWN}

    def score(self, source: Tensor, target: Tensor) -> Outputs:
        """Log-probability of each token of a target, eos included, given its source.

        Args:
            source: string [B].
            target: string [B].

        Returns:
            tokens: int32 [B, T], eos included, filled up with pad.
            log_probabilities: float32 [B, T], filled up with 0.
            count: int32 [B], tokens of each target.
            sum: float32 [B], of the row's log-probabilities.
        """
        with tf.control_dependencies(checks.same_rows("source", source, target=target)):
            source = tf.identity(source)
        sources = self._fitting(self._model.encode(source), "source")
        targets = self._fitting(self._model.encode(target), "target")
        network, ids = self._model.network, self._model.ids
        tokens, real = map(at_least_one, filled_up(sources, ids.pad))
        some = at_least_one(targets.to_tensor(ids.pad))
        first = tf.fill([tf.shape(some)[0], 1], ids.bos)
        shifted = tf.concat([first, some], axis=1)[:, :-1]
        inputs = {"source": tokens, "source_segments": real, "tokens": shifted}
        return scores(network, network.hidden_states(inputs), targets, ids.pad)
