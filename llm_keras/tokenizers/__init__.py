"""One SentencePiece model file for Beam, training and the SavedModel.

`in_graph` holds its TensorFlow twin and is imported on its own, so that Beam workers stay light.
"""

from llm_keras.tokenizers.sentence_piece import SentencePieceTokenizer
from llm_keras.tokenizers.training import train_tokenizer

__all__ = ["SentencePieceTokenizer", "train_tokenizer"]
