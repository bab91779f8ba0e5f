"""Text from a trained model: samplers, the decode loop, and the tokenizer around them."""

from llm_keras.generation.decode_loop import Generated, StopStrings, generate
from llm_keras.generation.samplers import Sampling
from llm_keras.generation.text import Answer, Completion, TextGenerator, generate_text

__all__ = [
    "Answer",
    "Completion",
    "Generated",
    "Sampling",
    "StopStrings",
    "TextGenerator",
    "generate",
    "generate_text",
]
