"""The bytes of single tokens against the tokenizer's own text."""

import tensorflow as tf

from llm_keras.generation.pieces import unescape

TEXTS = [
    "The Congress of the United States,  twice spaced \n\t and lined.",
    "é漢😀\u0301\u200d\ufffd",
    "real \u2581 and \ufdd0\ufdd1\ufdd2 and \ufdd0\ufdd0 noncharacters",
    "<s></s><pad><unk><0x41>",
    "\0\x01\x7f",
    "",
]


def test_joined_pieces_are_the_text(tokenizer):
    """Whatever a text is cut into, the pieces' bytes spell it again, escapes undone."""
    pieces = tokenizer.piece_bytes()
    joined = [b"".join(pieces[token] for token in tokenizer.encode(text)) for text in TEXTS]
    assert unescape(tf.constant(joined)).numpy().tolist() == [text.encode() for text in TEXTS]
