"""The tokenizer of a GGUF file gives the ids of the model's own."""

import pytest
import sentencepiece

from llm_keras import tokenizers
from llm_keras.errors import UserError
from llm_keras.tokenizers import gguf
from tests import tokenizer_files

TEXTS = ["Hello world", "  two  spaces\n\n x", "\u6f22\u5b57 \u00e9t\u00e9", "", " ", "\0a", "<s>"]


def test_smollm2_gives_the_published_ids():
    """Computed from the same file by other programs."""
    tokenizer = tokenizers.load(tokenizer_files.smollm2())
    assert tokenizer.encode("The capital of France is") == [504, 3575, 282, 4649, 314]
    once = [6403, 1980, 253, 655, 28, 665, 436, 253]
    assert tokenizer.encode("Once upon a time, there was a") == once
    found = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id)
    assert found == (1, 2, 2, 0)
    assert not tokenizer.adds_bos
    assert tokenizer.vocabulary_size == 49_152


def test_bytes_that_the_vocabulary_lacks_are_left_out():
    """SmolLM2 has no piece for the first byte of planes 4 to 15, nor for some control bytes."""
    tokenizer = tokenizers.load(tokenizer_files.smollm2())
    assert tokenizer.encode("a\x04b") == tokenizer.encode("a") + tokenizer.encode("b")
    assert tokenizer.decode(tokenizer.encode("\u6f22\U0001f600\0")) == "\u6f22\U0001f600\0"


def test_scores_become_a_sentencepiece_model():
    """Written from the lists that GGUF has of it, Mistral's model encodes as its own file."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer_files.mistral())
    size = processor.get_piece_size()

    def kind(number):
        tests = (processor.is_unknown, processor.is_control, processor.is_byte)
        kinds = (gguf.UNKNOWN, gguf.CONTROL, gguf.BYTE)
        return next((k for k, test in zip(kinds, tests, strict=True) if test(number)), gguf.NORMAL)

    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [processor.id_to_piece(n) for n in range(size)],
        "tokenizer.ggml.scores": [processor.get_score(n) for n in range(size)],
        "tokenizer.ggml.token_type": [kind(n) for n in range(size)],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    model = tokenizers.from_gguf(metadata)
    assert tokenizers.file_name(model) == "tokenizer.model"
    ours = tokenizers.load(model)
    assert (ours.unk_id, ours.bos_id, ours.eos_id, ours.pad_id) == (0, 1, 2, 2)
    assert ours.encode_batch(TEXTS) == processor.encode(TEXTS)
    assert [ours.decode(ids) for ids in ours.encode_batch(TEXTS)] == processor.decode(
        processor.encode(TEXTS)
    )


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, "GGUF tokenizer None is not supported"),
        ({"tokenizer.ggml.model": "bert"}, "GGUF tokenizer 'bert' is not supported"),
        (
            {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "tekken"},
            "tokenizer.ggml.pre 'tekken' is not supported, expected one of gpt-2, smollm",
        ),
        (
            {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2"},
            "GGUF file without tokenizer.ggml.tokens",
        ),
    ],
)
def test_other_tokenizers_are_refused(metadata, expected):
    with pytest.raises(UserError) as caught:
        tokenizers.from_gguf(metadata)
    assert expected in str(caught.value)
