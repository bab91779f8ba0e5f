"""Encoding loses nothing, makes no special ids, and takes time in proportion to the text."""

import io
import pickle
import random
import time

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_keras import tokenizers
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


def from_elsewhere(texts, **settings):
    """A model as SentencePiece makes it when nobody says more."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(texts[0].split(". ")),
        model_writer=model,
        vocab_size=400,
        minloglevel=2,
        **settings,
    )
    return model.getvalue()


def test_special_ids_are_those_of_the_model(addresses):
    """Llama has no pad, and eos takes its place; T5 has no bos, and pad takes its place."""
    llama = tokenizers.load(from_elsewhere(addresses))
    assert (llama.unk_id, llama.bos_id, llama.eos_id, llama.pad_id) == (0, 1, 2, 2)
    assert llama.adds_bos
    t5 = tokenizers.load(from_elsewhere(addresses, pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    assert (t5.pad_id, t5.eos_id, t5.unk_id, t5.bos_id) == (0, 1, 2, 0)
    assert not t5.adds_bos


def test_a_model_without_an_end_is_refused(addresses):
    with pytest.raises(UserError, match="has no piece that ends a text"):
        tokenizers.load(from_elsewhere(addresses, eos_id=-1))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_model_from_elsewhere_is_read_as_its_library_reads_it(addresses, kind):
    """Unigram text is not cut: the space in front of a text would stand in front of each part."""
    model = from_elsewhere(addresses, model_type=kind, user_defined_symbols=["<sep>"])
    library = sentencepiece.SentencePieceProcessor(model_proto=model)
    for text in ["", "two words", "  A <sep> b\u2581c \ufb01 ", *addresses[0].split("\n")[:20]]:
        assert tokenizers.load(model).encode(text) == library.encode(text)


def test_the_mask_is_a_user_symbol(addresses, tokenizer):
    masked = Tokenizer(vocabulary_size=400, user_symbols=("<mask>",))
    assert SentencePieceTokenizer(train(addresses[:1], masked)).mask_id == 4
    assert tokenizer.mask_id is None


def test_piece_bytes_spell_the_text(tokenizer):
    """Special pieces are empty, the 256 byte pieces are all there."""
    pieces = tokenizer.piece_bytes()
    assert len(pieces) == tokenizer.vocabulary_size
    assert pieces[:4] == [b""] * 4
    assert {bytes([value]) for value in range(256)} <= set(pieces)
    text = "The Congress,  twice\n\t\u00e9\u6f22\U0001f600<s>\0"
    assert b"".join(pieces[number] for number in tokenizer.encode(text)) == text.encode()


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
