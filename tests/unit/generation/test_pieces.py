"""The bytes of single tokens against the tokenizer's own text."""

import tensorflow as tf

from llm_keras.generation.pieces import piece_bytes, unescape

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
    pieces = piece_bytes(tokenizer.model)
    joined = [b"".join(pieces[token] for token in tokenizer.encode(text)) for text in TEXTS]
    assert unescape(tf.constant(joined)).numpy().tolist() == [text.encode() for text in TEXTS]


def test_special_pieces_spell_nothing_and_bytes_themselves(tokenizer):
    """Pad, unk, bos, eos are empty; the 256 byte pieces are all there."""
    pieces = piece_bytes(tokenizer.model)
    assert len(pieces) == tokenizer.vocabulary_size
    assert pieces[:4] == [b""] * 4
    assert pieces[4:260] == [bytes([value]) for value in range(256)]
