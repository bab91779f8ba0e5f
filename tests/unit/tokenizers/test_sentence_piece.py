"""Encoding loses nothing, makes no special ids, and takes time in proportion to the text."""

import pickle
import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_keras.config import Tokenizer
from llm_keras.errors import UserError
from llm_keras.tokenizers import SentencePieceTokenizer, escapes
from llm_keras.tokenizers.training import train

texts = st.text(st.characters(exclude_categories=["Cs"]))
CONTROL = ["<s>", "</s>", "<pad>", "<unk>", "<0x41>", " \u2047 ", "\u2585", "<s><s></s>"]


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request, addresses):
    kind = Tokenizer(kind=request.param, vocabulary_size=600, user_symbols=("<|user|>",))
    return SentencePieceTokenizer(train([*addresses, " ".join(CONTROL) * 50], kind))


@settings(max_examples=500)
@given(texts)
@example("")
@example("\u2581")
@example(" \u2581 \ufdd0 \ufdd0\ufdd1 \ufdd0\ufdd2 \ufdd0\u2581")
@example("\0")
@example("  two  spaces\t\ttabs\r\n\n\nlines \u00a0\u3000")
@example("\U0010ffff\ufffe\ufdef\ufeff")
def test_every_text_comes_back(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(tokenizer.eos_id < number < tokenizer.vocabulary_size for number in ids)


@given(texts, texts)
def test_text_can_be_decoded_in_parts(tokenizer, one, two):
    """No space is added or eaten where two parts meet."""
    first, second = tokenizer.encode(one), tokenizer.encode(two)
    assert tokenizer.decode(first + second) == one + two


@pytest.mark.parametrize("text", CONTROL)
def test_a_literal_control_token_is_plain_text(tokenizer, text):
    """Its characters were even in the training text, many times."""
    ids = tokenizer.encode(f"a{text}b{text}")
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    assert not special & set(ids)
    assert tokenizer.decode(ids) == f"a{text}b{text}"


def test_special_ids_give_no_text_but_unk_shows(tokenizer):
    assert tokenizer.decode([tokenizer.bos_id, tokenizer.pad_id, tokenizer.eos_id]) == ""
    assert tokenizer.decode([tokenizer.unk_id]) == " \u2047 "


def test_bytes_that_are_no_text_become_replacement_characters(tokenizer):
    """What a model generates may be any ids: half of a character is shown as U+FFFD."""
    half = tokenizer.encode("\U0001f600")[:2]
    assert [tokenizer.piece(number) for number in half] == ["<0xF0>", "<0x9F>"]
    text = tokenizer.decode([*half, *tokenizer.encode("x")])
    assert set(text) == {"\ufffd", "x"}


def test_a_lone_surrogate_counts_as_a_replacement_character(tokenizer):
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("a\ufffdb")


@pytest.mark.parametrize("word", ["a" * 3_000_000, None, "\u4e00" * 1_000_000])
def test_a_word_of_three_megabytes_takes_seconds(tokenizer, word):
    """The square of its length would take hours."""
    word = word or "".join(random.Random(0).choices("abcdefghijklmnop", k=3_000_000))
    start = time.perf_counter()
    assert tokenizer.decode(tokenizer.encode(word)) == word
    assert time.perf_counter() - start < 30


def test_a_batch_is_each_text(tokenizer):
    assert tokenizer.encode_batch(["one", "", "two"]) == [
        tokenizer.encode("one"),
        [],
        tokenizer.encode("two"),
    ]


def test_it_travels_to_workers(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.sha256 == tokenizer.sha256
    assert copy.encode("Fellow-Citizens") == tokenizer.encode("Fellow-Citizens")


@pytest.mark.parametrize("wrong", [-1, 600, 2**40])
def test_an_id_outside_the_vocabulary_is_named(tokenizer, wrong):
    with pytest.raises(UserError, match=f"token id {wrong} is not in the vocabulary of 600 pieces"):
        tokenizer.decode([5, wrong])


def test_a_missing_model_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(UserError, match="no tokenizer here; run `llm-keras tokenizer` first"):
        SentencePieceTokenizer(tmp_path / "tokenizer.model")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 1000])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        SentencePieceTokenizer(path)
    assert f"{path}: {len(content)} bytes that are no SentencePiece model" in str(caught.value)


def test_a_model_cut_in_the_middle_is_refused(tokenizer):
    cut = tokenizer.model[: len(tokenizer.model) // 2]
    with pytest.raises(UserError):
        SentencePieceTokenizer(cut)


def test_a_model_with_other_special_ids_is_refused(addresses):
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(addresses[0].split(". ")),
        model_writer=model,
        vocab_size=300,
        minloglevel=2,
    )
    with pytest.raises(UserError, match="to be the ids 0, 1, 2, 3, found -1, 0, 1, 2"):
        SentencePieceTokenizer(model.getvalue())


@given(st.text(st.sampled_from("a\u2581\ufdd0\ufdd1\ufdd2")))
def test_the_escape_rules_can_be_undone(text):
    """Longest match from the left, as SentencePiece applies them."""

    def apply(rules, text):
        result = ""
        while text:
            match = next((key for key in rules if text.startswith(key)), text[0])
            result, text = result + rules.get(match, match), text[len(match) :]
        return result

    spelt = apply(escapes.RULES, text)
    assert "\u2581" not in spelt
    assert apply({value: key for key, value in escapes.RULES.items()}, spelt) == text
