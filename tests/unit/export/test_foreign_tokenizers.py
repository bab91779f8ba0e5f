"""Exports with a Hugging Face tokenizer.json: equal ids and texts inside the graph and outside."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from llm_keras import config, tokenizers
from llm_keras import models as networks
from llm_keras.export import export_saved_model
from llm_keras.generation import generate_text

EXAMPLES = Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union"
TEXTS = ["Fellow-Citizens of the Senate", "", "It's 1790,  \u00e9\u6f22 \U0001f600\n"]
SHAPE = {
    "num_layers": 1, "hidden_dim": 32, "intermediate_dim": 64, "num_query_heads": 4,
    "initializer_range": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus():
    """Text to train a tokenizer on."""
    return [path.read_text() for path in sorted(EXAMPLES.glob("17*.txt"))]


@pytest.fixture(scope="module")
def byte_pairs(corpus, tmp_path_factory):
    """Byte-level BPE as GPT-2: one special token, which is bos, eos and pad."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(corpus, trainer)
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture(scope="module")
def word_pieces(corpus, tmp_path_factory):
    """WordPiece as BERT's uncased one."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    made.train_from_iterator(corpus, trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    path = tmp_path_factory.mktemp("word_pieces") / "tokenizer.json"
    made.save(str(path))
    return path


def test_a_causal_lm_with_byte_level_bpe(byte_pairs, tmp_path, call_export):
    """The model has 8 ids more than the tokenizer, and they never come out."""
    tokenizer = tokenizers.load(byte_pairs)
    network = networks.build_model(
        config.Model(**SHAPE),
        vocabulary_size=tokenizer.vocabulary_size + 8,
        sequence_length=48,
    )
    settings = config.Generation(max_new_tokens=20, temperature=3, top_p=1)
    folder = export_saved_model(network, byte_pairs, tmp_path, settings)
    assert (folder / "assets" / "tokenizer.json").read_bytes() == byte_pairs.read_bytes()
    call = call_export(tf.saved_model.load(str(folder)))
    found = call("serving_default", text=TEXTS)
    expected = generate_text(network, tokenizer, TEXTS, settings)
    assert [text.decode() for text in found["text"]] == [row.text for row in expected]
    assert found["completion_tokens"].sum() > 30
    ids = call("tokenize", text=TEXTS)
    for row, text in enumerate(TEXTS):
        assert ids["tokens"][row, : ids["lengths"][row]].tolist() == tokenizer.encode(text)
    assert [text.decode() for text in call("detokenize", **ids)["text"]] == TEXTS
    # No bos before a prompt, but something has to stand there.
    assert found["prompt_tokens"].tolist() == np.maximum(ids["lengths"], 1).tolist()


def test_a_masked_lm_with_word_pieces(word_pieces, tmp_path, call_export):
    """[CLS] and [SEP] stand around each text."""
    tokenizer = tokenizers.load(word_pieces)
    shape = config.Model(kind="masked_lm", positions="learned", **SHAPE)
    network = networks.build_model(
        shape, vocabulary_size=tokenizer.vocabulary_size, sequence_length=48
    )
    folder = export_saved_model(network, word_pieces, tmp_path, config.Generation())
    call = call_export(tf.saved_model.load(str(folder)))
    found = call("encode", text=TEXTS)["vectors"]
    for vector, text in zip(found, TEXTS, strict=True):
        ids = Tokenizer.from_file(str(word_pieces)).encode(text).ids
        assert (ids[0], ids[-1]) == (2, 3)
        inputs = {"tokens": np.array([ids], "int32")}
        np.testing.assert_allclose(vector, network.sentence_vectors(inputs).numpy()[0], atol=1e-5)
