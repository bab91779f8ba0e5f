"""Text in, text or vectors out: models with a tokenizer around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.generation import beam_search, stop_strings
from llm_keras.generation.cached_model import CachedModel, WithSource, filled_up
from llm_keras.generation.decode_loop import StopStrings, generate
from llm_keras.generation.samplers import Sampling
from llm_keras.generation.special_ids import special_ids
from llm_keras.tokenizers import Tokenizer, in_graph

Tensor = Any


class Answer(NamedTuple):
    """What the model says to each row's prompt."""

    text: Tensor  #: string [B], valid UTF-8, without prompt and stop string.
    finish_reason: Tensor  #: string [B], `stop` (eos or a stop string) or `length`.
    prompt_tokens: Tensor  #: int32 [B], bos and eos included.
    completion_tokens: Tensor  #: int32 [B], those of a stop string included, without eos.
    tokens: Tensor  #: int32 [B, N], filled up with pad.
    log_probabilities: Tensor  #: float32 [B, N], of `tokens` under the model itself.


class TextModel(ABC):
    """A model with its tokenizer; everybody who gives text to a model goes through here.

    Args:
        network: The model.
        tokenizer: The one that it was trained with.
    """

    def __init__(self, network: Any, tokenizer: Tokenizer) -> None:
        self.network = network
        self.tokenizer = in_graph.load(tokenizer.model)
        self.ids = special_ids(tokenizer, network.vocabulary_size)
        self.pieces = tokenizer.piece_bytes()
        self.adds_bos = tokenizer.adds_bos
        self.context_length: int = network.sequence_length
        #: Most tokens that a row of `encode` may have.
        self.longest_prompt = self.context_length

    @abstractmethod
    def encode(self, texts: Tensor) -> tf.RaggedTensor:
        """What the model reads of texts: string [B] to ragged int32 [B, None], no row empty."""


class Writer(TextModel):
    """A model that writes text."""

    @abstractmethod
    def _decoder(self, prompts: tf.RaggedTensor) -> tuple[CachedModel, tf.RaggedTensor, Tensor]:
        """What decodes, what it is given first, and the most new tokens it has room for."""

    def answer(
        self,
        prompts: tf.RaggedTensor,
        max_new_tokens: Tensor,
        sampling: Sampling,
        stop: Tensor | None = None,
    ) -> Answer:
        """Draws an answer to prompts of at most `longest_prompt` tokens each.

        Args:
            prompts: Ragged int32 [B, None], as `encode` makes them.
            max_new_tokens: int32 [B]; an answer ends at the context's end at the latest.
            sampling: How each row's tokens are chosen.
            stop: string [B, S], S >= 1, valid UTF-8, or None.
        """
        decoder, first, room = self._decoder(prompts)
        made = generate(
            decoder,
            first,
            tf.minimum(max_new_tokens, room),
            sampling,
            self.ids,
            None if stop is None else StopStrings(stop, self.pieces),
        )
        said = self._said(prompts, made.tokens, made.lengths, made.log_probabilities, made.stopped)
        # From a stop string on, the bytes are whole characters: cutting them keeps UTF-8.
        return said._replace(text=stop_strings.cut_suffix(said.text, made.stop_suffix))

    def search(
        self,
        prompts: tf.RaggedTensor,
        max_new_tokens: Tensor,
        num_beams: int,
        length_penalty: float,
    ) -> Answer:
        """The best answer that beam search finds; see `answer` and `beam_search.search`."""
        decoder, first, room = self._decoder(prompts)
        limits = tf.minimum(max_new_tokens, room)
        found = beam_search.search(decoder, first, limits, self.ids, num_beams, length_penalty)
        best = tf.nest.map_structure(lambda part: part[:, 0], found)
        return self._said(prompts, best.tokens, best.lengths, best.log_probabilities, best.finished)

    def answer_as(
        self, prompts: tf.RaggedTensor, settings: config.Generation, seed: int = 0
    ) -> Answer:
        """`search`, where a run file asks for more than one beam; otherwise `answer`."""
        rows = prompts.nrows(tf.int32)
        limits = tf.fill([rows], settings.max_new_tokens)
        if settings.num_beams > 1:
            return self.search(prompts, limits, settings.num_beams, settings.length_penalty)
        return self.answer(prompts, limits, same_for_all(settings, rows, seed))

    def _said(
        self,
        prompts: tf.RaggedTensor,
        tokens: Tensor,
        lengths: Tensor,
        log_probabilities: Tensor,
        stopped: Tensor,
    ) -> Answer:
        return Answer(
            text=self.tokenizer.decode(tf.RaggedTensor.from_tensor(tokens, lengths=lengths)),
            finish_reason=tf.where(stopped, "stop", "length"),
            prompt_tokens=tf.cast(prompts.row_lengths(), tf.int32),
            completion_tokens=lengths,
            tokens=tokens,
            log_probabilities=log_probabilities,
        )


class TextGenerator(Writer):
    """Continues texts with a causal language model; prompt and answer share its context."""

    def __init__(self, network: Any, tokenizer: Tokenizer) -> None:
        super().__init__(network, tokenizer)
        self.longest_prompt = self.context_length - 1

    def encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Bos, where the tokenizer's models see one, and the tokens of each text.

        Without a bos, that of the decoder stands for an empty text: no prompt is empty.
        """
        ids = self.tokenizer.encode(texts)
        has_bos = tf.logical_or(self.adds_bos, ids.row_lengths() == 0)
        return tf.concat([_where(has_bos, self.ids.bos), ids], axis=1)

    def _decoder(self, prompts: tf.RaggedTensor) -> tuple[CachedModel, tf.RaggedTensor, Tensor]:
        return self.network, prompts, self.context_length - tf.cast(prompts.row_lengths(), tf.int32)


class Translator(Writer):
    """Answers texts with an encoder-decoder: the prompt is the source, the answer the target."""

    def encode(self, texts: Tensor) -> tf.RaggedTensor:
        """The tokens of each text, and eos."""
        ids = self.tokenizer.encode(texts)
        return tf.concat([ids, _everywhere(self.ids.eos, ids)], axis=1)

    def _decoder(self, prompts: tf.RaggedTensor) -> tuple[CachedModel, tf.RaggedTensor, Tensor]:
        source = WithSource(self.network, prompts, self.ids.pad)
        return source, _everywhere(self.ids.bos, prompts), self.context_length


class TextEncoder(TextModel):
    """Makes vectors of texts with a masked language model."""

    def encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Bos, where the tokenizer's models see one, the tokens of each text, and eos."""
        ids = self.tokenizer.encode(texts)
        before = [_everywhere(self.ids.bos, ids)] if self.adds_bos else []
        return tf.concat([*before, ids, _everywhere(self.ids.eos, ids)], axis=1)

    def vectors(self, rows: tf.RaggedTensor) -> Tensor:
        """The mean of each row's hidden states, at unit length: float32 [B, D]."""
        tokens, segments = filled_up(rows, self.ids.pad)
        return self.network.sentence_vectors({"tokens": tokens, "segments": segments})


KINDS: dict[str, type[TextModel]] = {
    "causal_lm": TextGenerator,
    "encoder_decoder": Translator,
    "masked_lm": TextEncoder,
}


def text_model(network: Any, tokenizer: Tokenizer) -> TextModel:
    """A model of any kind with its tokenizer."""
    return KINDS[network.settings.kind](network, tokenizer)


def writer(network: Any, tokenizer: Tokenizer) -> Writer:
    """A model that writes text, with its tokenizer.

    Raises:
        UserError: It is a masked_lm.
    """
    model = text_model(network, tokenizer)
    if not isinstance(model, Writer):
        raise UserError(
            f"a {network.settings.kind} writes no text, but makes vectors of texts; export it and"
            " ask the signature `encode`"
        )
    return model


def same_for_all(settings: config.Generation, rows: Tensor, seed: int = 0) -> Sampling:
    """The settings of a run file for each of `rows` rows."""
    return Sampling(
        temperature=tf.fill([rows], tf.constant(settings.temperature, tf.float32)),
        top_k=tf.fill([rows], settings.top_k),
        top_p=tf.fill([rows], tf.constant(settings.top_p, tf.float32)),
        min_p=tf.fill([rows], tf.constant(settings.min_p, tf.float32)),
        repetition_penalty=tf.fill([rows], tf.constant(settings.repetition_penalty, tf.float32)),
        seed=tf.fill([rows], seed),
    )


def _everywhere(token_id: int, rows: tf.RaggedTensor) -> tf.RaggedTensor:
    """As many rows, each of this one id."""
    return _where(rows.row_lengths() >= 0, token_id)


def _where(wanted: Tensor, token_id: int) -> tf.RaggedTensor:
    """Rows of one id where `wanted` bool [B] says so, and of none elsewhere."""
    rows = tf.fill([tf.size(wanted), 1], token_id)
    return tf.RaggedTensor.from_tensor(rows, lengths=tf.cast(wanted, tf.int64))
