"""The Python interface: a list of prompts, a list of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.generation.text import Writer, writer
from llm_keras.tokenizers import Tokenizer

PROMPTS = tf.RaggedTensorSpec([None, None], tf.int32, ragged_rank=1)


@dataclass(frozen=True)
class Completion:
    """What the model says to one prompt; see `text.Answer` for the fields."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def generate_text(
    network: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: config.Generation,
    seed: int = 0,
    batch_size: int = 64,
) -> list[Completion]:
    """Continues each prompt, or translates it, as the model's kind is.

    Equal prompts with equal seeds give equal texts.

    Args:
        network: A `models.CausalLM` or `models.EncoderDecoder`.
        tokenizer: The one that it was trained with.
        prompts: Texts; not changed by their order, nor by what stands beside them.
        settings: Sampling, or beam search where `num_beams` is above 1.
        seed: Of the sampling.
        batch_size: Prompts at once, those of similar lengths together.

    Raises:
        UserError: A prompt does not fit the model's context, or the model writes no text.
    """
    model = writer(network, tokenizer)
    if not prompts:
        return []
    rows = model.encode(tf.constant([_utf8(prompt) for prompt in prompts]))
    lengths = rows.row_lengths().numpy()
    _check_lengths(lengths, model)

    @tf.function(input_signature=[PROMPTS], autograph=False)
    def answer(batch: tf.RaggedTensor) -> Any:
        return model.answer_as(batch, settings, seed)[:4]

    completions: dict[int, Completion] = {}
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        said = [part.numpy() for part in answer(tf.gather(rows, places))]
        for place, text, reason, *counts in zip(places, *said, strict=True):
            completions[place] = Completion(text.decode(), reason.decode(), *map(int, counts))
    return [completions[place] for place in range(len(prompts))]


def _utf8(text: str) -> bytes:
    """UTF-8 of a text; lone surrogates, which are no Unicode text, count as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _check_lengths(lengths: Sequence[int], model: Writer) -> None:
    for number, length in enumerate(lengths, 1):
        if length > model.longest_prompt:
            raise UserError(
                f"prompt {number} has {length} tokens, special ones included, but the context of"
                f" {model.context_length} tokens has room for {model.longest_prompt}; shorten it"
            )
