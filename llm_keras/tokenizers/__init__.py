"""One tokenizer file for Beam, training and the SavedModel.

`load` reads any kind. `in_graph` holds the twins in TensorFlow and is imported on its own, so that
Beam workers stay light.
"""

from llm_keras.tokenizers.loading import load
from llm_keras.tokenizers.protocol import Tokenizer
from llm_keras.tokenizers.sentence_piece import SentencePieceTokenizer
from llm_keras.tokenizers.training import train_tokenizer

__all__ = ["SentencePieceTokenizer", "Tokenizer", "load", "train_tokenizer"]
