"""The functions of an exported model: what a client can ask for, and what it gets.

Dimension 0 of every input and output is the batch; types are float32, int32 and string only; every
text that comes out is valid UTF-8. Bytes of an incoming text that are none count as U+FFFD.

Letters in shapes: B rows, T tokens of the longest row, S stop strings, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from llm_keras import config, tokenizers
from llm_keras.export import checks
from llm_keras.generation import Answer, Sampling, TextGenerator
from llm_keras.generation.text import same_for_all

Tensor = Any
Outputs = dict[str, Tensor]

TEXT = tf.TensorSpec([None], tf.string, "text")
TOKENS = tf.TensorSpec([None, None], tf.int32, "tokens")
LENGTHS = tf.TensorSpec([None], tf.int32, "lengths")
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


class Servable(tf.Module):
    """A language model with its tokenizer, as it is exported.

    Args:
        network: The model, in float32.
        tokenizer_model: The tokenizer's file; it is copied into the SavedModel's assets.
        settings: What `serving_default` uses, and nobody can change in a request to it.
    """

    def __init__(self, network: Any, tokenizer_model: Path, settings: config.Generation) -> None:
        super().__init__(name="llm_keras")
        generator = TextGenerator(network, tokenizers.load(tokenizer_model))
        self._generator = generator
        self._context_length: int = network.sequence_length
        self._settings = settings
        # What the functions capture has to hang on the module, or it is not saved. The Keras model
        # must not: it would save every variable a second time. `_generator` is no TensorFlow
        # object, so what it holds stays outside.
        self.tokenizer = generator.tokenizer
        self.tokenizer_model = tf.saved_model.Asset(str(tokenizer_model))
        self.weights = {weight.path: weight.value for weight in network.weights}

    def signatures(self) -> dict[str, Any]:
        """The concrete function behind each signature."""
        specs: dict[Callable[..., Outputs], Sequence[tf.TensorSpec]] = {
            self.serving_default: [TEXT],
            self.generate: [TEXT, *SETTINGS],
            self.score: [TEXT],
            self.tokenize: [TEXT],
            self.detokenize: [TOKENS, LENGTHS],
            self.logits: [TOKENS, LENGTHS],
        }
        return {
            function.__name__: tf.function(function).get_concrete_function(*spec)
            for function, spec in specs.items()
        }

    def serving_default(self, text: Tensor) -> Outputs:
        """Continues texts with the settings of the run file.

        The seed is 0: the same text gives the same answer. `generate` takes seeds.
        """
        rows = tf.shape(text)[0]
        limits = tf.fill([rows], self._settings.max_new_tokens)
        answer = self._continue(text, limits, same_for_all(self._settings, rows))
        shown = ("text", "finish_reason", "prompt_tokens", "completion_tokens")
        return {name: getattr(answer, name) for name in shown}

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
        return self._continue(text, max_new_tokens, sampling, stop)._asdict()

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
        with tf.control_dependencies(checks.texts_fit(count, self._context_length)):
            tokens = ids.to_tensor(self._generator.ids.pad)
        some = _at_least_one(tokens)
        first = tf.fill([tf.shape(some)[0], 1], self._generator.ids.bos)
        shifted = tf.concat([first, some], axis=1)[:, :-1]
        hidden = self._generator.network.hidden_states({"tokens": shifted})
        values = tf.map_fn(
            self._row_log_probabilities, (hidden, some), fn_output_signature=tf.float32
        )
        inside = tf.range(tf.shape(tokens)[1]) < count[:, None]
        values = tf.where(inside, _like(values, tokens), 0.0)
        return {
            "tokens": tokens,
            "log_probabilities": values,
            "count": count,
            "sum": tf.reduce_sum(values, axis=1),
        }

    def tokenize(self, text: Tensor) -> Outputs:
        """Ids of texts, without bos and eos: `tokens` int32 [B, T], `lengths` int32 [B]."""
        ids = self.tokenizer.encode(text)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        return {"tokens": ids.to_tensor(self._generator.ids.pad), "lengths": lengths}

    def detokenize(self, tokens: Tensor, lengths: Tensor) -> Outputs:
        """Texts of ids: `text` string [B]. What is no valid UTF-8 becomes U+FFFD."""
        ids = self._checked_tokens(tokens, lengths, tf.int32.max)
        return {"text": self.tokenizer.decode(tf.RaggedTensor.from_tensor(ids, lengths=lengths))}

    def logits(self, tokens: Tensor, lengths: Tensor) -> Outputs:
        """The model itself: `logits` float32 [B, T, V] for ids as they are, no bos added.

        Position t holds the scores of token t + 1. Beyond a row's length they mean nothing.
        """
        ids = self._checked_tokens(tokens, lengths, self._context_length)
        return {"logits": _like(self._generator.network({"tokens": _at_least_one(ids)}), tokens)}

    def _continue(
        self, text: Tensor, max_new_tokens: Tensor, sampling: Sampling, stop: Tensor | None = None
    ) -> Answer:
        prompts = self._generator.encode(text)
        lengths = tf.cast(prompts.row_lengths(), tf.int32)
        with tf.control_dependencies(checks.prompts_fit(lengths, self._context_length)):
            prompts = tf.identity(prompts)
        return self._generator.answer(prompts, max_new_tokens, sampling, stop)

    def _checked_tokens(self, tokens: Tensor, lengths: Tensor, most: int) -> Tensor:
        """The ids, with pad after each row's length."""
        with tf.control_dependencies(checks.same_rows("tokens", tokens, lengths=lengths)):
            valid = checks.tokens_valid(
                tokens, lengths, most, self._generator.network.vocabulary_size
            )
        with tf.control_dependencies(valid):
            inside = tf.range(tf.shape(tokens)[1]) < lengths[:, None]
            return tf.where(inside, tokens, self._generator.ids.pad)

    def _row_log_probabilities(self, row: tuple[Tensor, Tensor]) -> Tensor:
        """Float32 [T] of one row; row after row, logits of all rows are never in memory at once."""
        hidden, tokens = row
        logits = self._generator.network.logits(hidden)
        return tf.gather(tf.nn.log_softmax(logits), tokens, batch_dims=1)


def _at_least_one(tokens: Tensor) -> Tensor:
    """Ids [B, T] with a row and a column of pad where there are none, for models that need them."""
    missing = tf.cast(tf.shape(tokens) == 0, tf.int32)
    return tf.pad(tokens, tf.stack([tf.zeros_like(missing), missing], axis=1))


def _like(values: Tensor, tokens: Tensor) -> Tensor:
    """Values of `_at_least_one(tokens)` without what was put there."""
    rows, width = tf.unstack(tf.shape(tokens))
    return values[:rows, :width]
