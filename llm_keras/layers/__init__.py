"""Keras layers of the transformer, one a file.

Of the rest of this package they import `fusion`, and nothing else.
"""

from llm_keras.layers.alibi_positions import AlibiPositions
from llm_keras.layers.attention import Attention
from llm_keras.layers.cross_attention import CrossAttention
from llm_keras.layers.decoder_block import DecoderBlock
from llm_keras.layers.dimensions import dimensions_of
from llm_keras.layers.dropout import KeyedDropout
from llm_keras.layers.encoder_block import EncoderBlock
from llm_keras.layers.feed_forward import FeedForward
from llm_keras.layers.learned_positions import LearnedPositions
from llm_keras.layers.linear import Linear
from llm_keras.layers.masked_lm_head import MaskedLMHead
from llm_keras.layers.mixture_of_experts import MixtureOfExperts
from llm_keras.layers.normalization import LayerNorm, RMSNorm
from llm_keras.layers.relative_positions import RelativePositions
from llm_keras.layers.residual_block import BlockOutput
from llm_keras.layers.rotary_positions import RotaryPositions
from llm_keras.layers.sinusoidal_positions import SinusoidalPositions
from llm_keras.layers.token_embedding import TokenEmbedding
from llm_keras.layers.token_types import TokenTypes

__all__ = [
    "AlibiPositions",
    "Attention",
    "BlockOutput",
    "CrossAttention",
    "DecoderBlock",
    "EncoderBlock",
    "FeedForward",
    "KeyedDropout",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "MaskedLMHead",
    "MixtureOfExperts",
    "RMSNorm",
    "RelativePositions",
    "RotaryPositions",
    "SinusoidalPositions",
    "TokenEmbedding",
    "TokenTypes",
    "dimensions_of",
]
