"""Tokenizers inside a TensorFlow graph, for a SavedModel that takes text and gives text."""

from llm_keras.tokenizers import hugging_face
from llm_keras.tokenizers.byte_pairs import BytePairs
from llm_keras.tokenizers.in_graph.byte_pairs import InGraphBytePairs
from llm_keras.tokenizers.in_graph.sentence_piece import InGraphSentencePiece
from llm_keras.tokenizers.in_graph.word_pieces import InGraphWordPieces
from llm_keras.tokenizers.tokenizer_json import is_tokenizer_json

InGraphTokenizer = InGraphSentencePiece | InGraphBytePairs | InGraphWordPieces

__all__ = ["InGraphTokenizer", "load"]


def load(model: bytes) -> InGraphTokenizer:
    """The twin of `tokenizers.load(model)`, which a SavedModel can hold.

    Each has `encode(texts)`, string [B] to ragged int32 [B, None] without bos and eos, and
    `decode(ids)`, ragged int32 [B, None] to string [B].

    Raises:
        UserError: The file asks for something that is not supported.
    """
    if not is_tokenizer_json(model):
        return InGraphSentencePiece(model)
    tables = hugging_face.parse(model)
    return InGraphBytePairs(tables) if isinstance(tables, BytePairs) else InGraphWordPieces(tables)
