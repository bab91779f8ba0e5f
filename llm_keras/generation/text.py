"""Text in, text out: the decode loop with a tokenizer around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.generation import stop_strings
from llm_keras.generation.decode_loop import StopStrings, generate
from llm_keras.generation.pieces import piece_bytes
from llm_keras.generation.samplers import Sampling
from llm_keras.tokenizers import SentencePieceTokenizer
from llm_keras.tokenizers.in_graph import InGraphTokenizer
from llm_keras.tokenizers.sentence_piece import BOS_ID

Tensor = Any


class Answer(NamedTuple):
    """The continuation of each row's prompt."""

    text: Tensor  #: string [B], valid UTF-8, without prompt and stop string.
    finish_reason: Tensor  #: string [B], `stop` (eos or a stop string) or `length`.
    prompt_tokens: Tensor  #: int32 [B], bos included.
    completion_tokens: Tensor  #: int32 [B], those of a stop string included, without eos.
    tokens: Tensor  #: int32 [B, N], filled up with pad.
    log_probabilities: Tensor  #: float32 [B, N], of `tokens` under the model itself.


class TextGenerator:
    """Continues texts with a model; everybody who generates text goes through here.

    Args:
        network: The language model.
        tokenizer: The content of the `tokenizer.model` file that it was trained with.
    """

    def __init__(self, network: Any, tokenizer: bytes) -> None:
        self.network = network
        self.tokenizer = InGraphTokenizer(tokenizer)
        self.pieces = piece_bytes(tokenizer)
        self.context_length: int = network.sequence_length

    def encode(self, texts: Tensor) -> tf.RaggedTensor:
        """Prompts: bos and the tokens of each text. String [B] to ragged int32 [B, None]."""
        ids = self.tokenizer.encode(texts)
        return tf.concat([tf.fill([ids.nrows(), 1], BOS_ID), ids], axis=1)

    def answer(
        self,
        prompts: tf.RaggedTensor,
        max_new_tokens: Tensor,
        sampling: Sampling,
        stop: Tensor | None = None,
    ) -> Answer:
        """Continues prompts of at most `context_length - 1` tokens each.

        Args:
            prompts: Ragged int32 [B, None], as `encode` makes them.
            max_new_tokens: int32 [B]; prompt and new tokens end at the context's end at the latest.
            sampling: How each row's tokens are chosen.
            stop: string [B, S], S >= 1, valid UTF-8, or None.
        """
        prompt_tokens = tf.cast(prompts.row_lengths(), tf.int32)
        made = generate(
            self.network,
            prompts,
            tf.minimum(max_new_tokens, self.context_length - prompt_tokens),
            sampling,
            None if stop is None else StopStrings(stop, self.pieces),
        )
        tokens = tf.RaggedTensor.from_tensor(made.tokens, lengths=made.lengths)
        text = self.tokenizer.decode(tokens)
        return Answer(
            # From a stop string on, the bytes are whole characters: cutting them keeps UTF-8.
            text=stop_strings.cut_suffix(text, made.stop_suffix),
            finish_reason=tf.where(made.stopped, "stop", "length"),
            prompt_tokens=prompt_tokens,
            completion_tokens=made.lengths,
            tokens=made.tokens,
            log_probabilities=made.log_probabilities,
        )


@dataclass(frozen=True)
class Completion:
    """The continuation of one prompt; see `Answer` for the fields."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def generate_text(
    network: Any,
    tokenizer: SentencePieceTokenizer,
    prompts: Sequence[str],
    settings: config.Generation,
    seed: int = 0,
) -> list[Completion]:
    """Continues each prompt. Equal prompts with equal seeds give equal texts.

    Raises:
        UserError: A prompt does not fit the model's context.
    """
    if not prompts:
        return []
    generator = TextGenerator(network, tokenizer.model)
    rows = [[BOS_ID, *ids] for ids in tokenizer.encode_batch(prompts)]
    _check_lengths([len(row) for row in rows], generator.context_length)
    answer = tf.function(generator.answer)(
        tf.ragged.constant(rows, tf.int32, ragged_rank=1),
        tf.fill([len(rows)], settings.max_new_tokens),
        same_for_all(settings, len(rows), seed),
    )
    return [
        Completion(text.decode(), reason.decode(), *map(int, counts))
        for text, reason, *counts in zip(*(part.numpy() for part in answer[:4]), strict=True)
    ]


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


def _check_lengths(lengths: list[int], context_length: int) -> None:
    for number, length in enumerate(lengths, 1):
        if length >= context_length:
            raise UserError(
                f"prompt {number} has {length} tokens, bos included, but the context of"
                f" {context_length} tokens must hold it and at least one more; shorten it"
            )
