"""What every exported model has: tokenizer, weights, and functions with names and types.

Dimension 0 of every input and output is the batch; types are float32, int32 and string only; every
text that comes out is valid UTF-8. Bytes of an incoming text that are none count as U+FFFD.

Letters in shapes: B rows, T tokens of the longest row, D hidden, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from llm_keras import config
from llm_keras.export import checks
from llm_keras.generation import TextModel

Tensor = Any
Outputs = dict[str, Tensor]
Signatures = dict[str, tuple[Callable[..., Outputs], Sequence[tf.TensorSpec]]]

TEXT = tf.TensorSpec([None], tf.string, "text")
TOKENS = tf.TensorSpec([None, None], tf.int32, "tokens")
LENGTHS = tf.TensorSpec([None], tf.int32, "lengths")
#: What `serving_default` of a model that writes gives; see `generation.Answer`.
SHOWN = ("text", "finish_reason", "prompt_tokens", "completion_tokens")


class Servable(tf.Module, ABC):
    """A model with its tokenizer, as it is exported; a subclass for each kind of model.

    Args:
        model: The model, in float32, with its tokenizer.
        tokenizer_model: The tokenizer's file; it is copied into the SavedModel's assets.
        settings: What `serving_default` uses, and nobody can change in a request to it.
    """

    def __init__(
        self, model: TextModel, tokenizer_model: Path, settings: config.Generation
    ) -> None:
        super().__init__(name="llm_keras")
        # What the functions capture has to hang on the module, or it is not saved. The Keras model
        # must not: it would save every variable a second time. `_model` is no TensorFlow object,
        # so what it holds stays outside.
        self._model = model
        self._context_length = model.context_length
        self._settings = settings
        self.tokenizer = model.tokenizer
        self.tokenizer_model = tf.saved_model.Asset(str(tokenizer_model))
        self.weights = {weight.path: weight.value for weight in model.network.weights}

    @abstractmethod
    def own_signatures(self) -> Signatures:
        """The functions that only this kind of model has, and their inputs."""

    def signatures(self) -> dict[str, Any]:
        """The concrete function behind each signature."""
        functions: Signatures = {
            **self.own_signatures(),
            "tokenize": (self.tokenize, [TEXT]),
            "detokenize": (self.detokenize, [TOKENS, LENGTHS]),
        }
        return {
            name: tf.function(function, autograph=False).get_concrete_function(*specs)
            for name, (function, specs) in functions.items()
        }

    def tokenize(self, text: Tensor) -> Outputs:
        """Ids of texts, without bos and eos: `tokens` int32 [B, T], `lengths` int32 [B]."""
        ids = self.tokenizer.encode(text)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        return {"tokens": ids.to_tensor(self._model.ids.pad), "lengths": lengths}

    def detokenize(self, tokens: Tensor, lengths: Tensor) -> Outputs:
        """Texts of ids: `text` string [B]. What is no valid UTF-8 becomes U+FFFD."""
        pieces = len(self._model.pieces)
        ids = self._checked_tokens(tokens, lengths, tf.int32.max, pieces)
        return {"text": self.tokenizer.decode(tf.RaggedTensor.from_tensor(ids, lengths=lengths))}

    def _checked_tokens(self, tokens: Tensor, lengths: Tensor, most: int, pieces: int) -> Tensor:
        """The ids, with pad after each row's length."""
        with tf.control_dependencies(checks.same_rows("tokens", tokens, lengths=lengths)):
            valid = checks.tokens_valid(tokens, lengths, most, pieces)
        with tf.control_dependencies(valid):
            inside = tf.range(tf.shape(tokens)[1]) < lengths[:, None]
            return tf.where(inside, tokens, self._model.ids.pad)

    def _fitting(self, rows: tf.RaggedTensor, name: str) -> tf.RaggedTensor:
        """Rows of at most `longest_prompt` tokens; before anything else is done with them."""
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        with tf.control_dependencies(checks.fits(lengths, self._model.longest_prompt, name)):
            return tf.identity(rows)


def scores(network: Any, hidden: Tensor, rows: tf.RaggedTensor, pad: int) -> Outputs:
    """Log-probabilities of tokens, given what the model made of what stands before each.

    Args:
        network: The model.
        hidden: float [B, T, D], at least one row and token.
        rows: Ragged int32 [B, None].
        pad: Fills rows up.

    Returns:
        tokens: int32 [B, T], filled up with pad.
        log_probabilities: float32 [B, T], filled up with 0.
        count: int32 [B], tokens of each row.
        sum: float32 [B], of the row's log-probabilities; 0 for a row without tokens.
    """

    def one_row(row: tuple[Tensor, Tensor]) -> Tensor:
        """Float32 [T]; row after row, so that the logits of all are never in memory at once."""
        return tf.gather(tf.nn.log_softmax(network.logits(row[0])), row[1], batch_dims=1)

    tokens = rows.to_tensor(pad)
    count = tf.cast(rows.row_lengths(), tf.int32)
    values = tf.map_fn(one_row, (hidden, at_least_one(tokens)), fn_output_signature=tf.float32)
    inside = tf.range(tf.shape(tokens)[1]) < count[:, None]
    values = tf.where(inside, like(values, tokens), 0.0)
    return {
        "tokens": tokens,
        "log_probabilities": values,
        "count": count,
        "sum": tf.reduce_sum(values, axis=1),
    }


def at_least_one(tokens: Tensor) -> Tensor:
    """Ids [B, T] with a row and a column of 0 where there are none, for models that need them."""
    missing = tf.cast(tf.shape(tokens) == 0, tf.int32)
    return tf.pad(tokens, tf.stack([tf.zeros_like(missing), missing], axis=1))


def like(values: Tensor, tokens: Tensor) -> Tensor:
    """Values of `at_least_one(tokens)` without what was put there."""
    rows, width = tf.unstack(tf.shape(tokens))
    return values[:rows, :width]
