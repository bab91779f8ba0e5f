"""Text from a trained model: samplers, decode loop, beam search, and the tokenizer around them."""

from llm_keras.generation.beam_search import Hypotheses, search
from llm_keras.generation.completion import Completion, generate_text
from llm_keras.generation.decode_loop import Generated, StopStrings, generate
from llm_keras.generation.samplers import Sampling
from llm_keras.generation.special_ids import SpecialIds, special_ids
from llm_keras.generation.text import (
    Answer,
    TextEncoder,
    TextGenerator,
    TextModel,
    Translator,
    Writer,
    text_model,
    writer,
)

__all__ = [
    "Answer",
    "Completion",
    "Generated",
    "Hypotheses",
    "Sampling",
    "SpecialIds",
    "StopStrings",
    "TextEncoder",
    "TextGenerator",
    "TextModel",
    "Translator",
    "Writer",
    "generate",
    "generate_text",
    "search",
    "special_ids",
    "text_model",
    "writer",
]
