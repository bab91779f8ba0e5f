"""Keras layers of the transformer, one a file. They import nothing else of this package."""

from llm_keras.layers.attention import Attention
from llm_keras.layers.decoder_block import DecoderBlock
from llm_keras.layers.dimensions import dimensions_of
from llm_keras.layers.dropout import KeyedDropout
from llm_keras.layers.feed_forward import FeedForward
from llm_keras.layers.learned_positions import LearnedPositions
from llm_keras.layers.linear import Linear
from llm_keras.layers.normalization import LayerNorm, RMSNorm
from llm_keras.layers.rotary_positions import RotaryPositions
from llm_keras.layers.sinusoidal_positions import SinusoidalPositions
from llm_keras.layers.token_embedding import TokenEmbedding

__all__ = [
    "Attention",
    "DecoderBlock",
    "FeedForward",
    "KeyedDropout",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "RMSNorm",
    "RotaryPositions",
    "SinusoidalPositions",
    "TokenEmbedding",
    "dimensions_of",
]
