"""One tokenizer file for Beam, training and the SavedModel.

`load` reads any kind. `in_graph` holds the twins in TensorFlow and is imported on its own, so that
Beam workers stay light.
"""

from llm_keras.tokenizers.gguf import from_gguf
from llm_keras.tokenizers.hugging_face import HuggingFaceTokenizer
from llm_keras.tokenizers.loading import file_name, load
from llm_keras.tokenizers.protocol import Tokenizer
from llm_keras.tokenizers.sentence_piece import SentencePieceTokenizer
from llm_keras.tokenizers.special_ids import with_special_tokens
from llm_keras.tokenizers.training import train_tokenizer

__all__ = [
    "HuggingFaceTokenizer",
    "SentencePieceTokenizer",
    "Tokenizer",
    "file_name",
    "from_gguf",
    "load",
    "train_tokenizer",
    "with_special_tokens",
]
