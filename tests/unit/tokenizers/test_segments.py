"""Cutting text before a unigram model: nothing is lost, and sums stay exact."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras.config import Tokenizer
from llm_keras.tokenizers import SentencePieceTokenizer, model_file, segments
from llm_keras.tokenizers.training import train

SYMBOLS = ("ab", "abc", "<|x|>", "\n\n", r"\d+")


@pytest.fixture(scope="module")
def models(addresses):
    return {
        kind: train(addresses, Tokenizer(kind=kind, vocabulary_size=500, user_symbols=SYMBOLS))
        for kind in ("bpe", "unigram")
    }


def scores(model):
    """Of all normal pieces, read with an independent reader."""
    processor = SentencePieceTokenizer(model)._processor
    return [
        processor.get_score(number)
        for number in range(processor.get_piece_size())
        if not (processor.is_control(number) or processor.is_byte(number))
    ]


@given(st.text(st.sampled_from(" \nabcd<|x>\u00e9\u4e00\U0001f600"), max_size=600))
def test_the_parts_joined_are_the_text(models, text):
    expressions = [re.compile(pattern) for pattern in segments.patterns(models["unigram"])]
    parts = segments.cut(text, expressions)
    assert "".join(parts) == text
    assert all(0 < len(part) <= 256 for part in parts)


def test_a_word_takes_the_spaces_before_it():
    words = [re.compile(segments.WORDS)]
    assert segments.cut("  a b\n c  ", words) == ["  a", " b\n", " c", "  "]
    assert segments.cut(" " * 300 + "a", words) == [" " * 128, " " * 128, " " * 44 + "a"]
    assert segments.cut(" " + "a" * 200, words) == [" " + "a" * 128, "a" * 72]


def test_the_longest_symbol_is_cut_out(models):
    expressions = [re.compile(pattern) for pattern in segments.patterns(models["unigram"])]
    assert segments.cut(r"xabcab\d+1", expressions) == ["x", "abc", "ab", r"\d+", "1"]


def test_a_bpe_model_needs_no_cutting(models):
    assert segments.patterns(models["bpe"]) == []
    assert len(segments.patterns(models["unigram"])) == 2


def test_cutting_changes_nothing_on_prose(models, addresses):
    """Against SentencePiece on the whole text, as sums of prose are rarely rounded alike."""
    tokenizer = SentencePieceTokenizer(models["unigram"])
    same = sum(
        tokenizer.encode(part) == list(tokenizer._processor.encode(part))
        for text in addresses
        for part in re.findall(r"[^.]+\.", text)
    )
    assert same == sum(len(re.findall(r"[^.]+\.", text)) for text in addresses)


def test_the_model_file_says_what_it_is(models):
    for kind, model in models.items():
        assert model_file.is_unigram(model) == (kind == "unigram")
        assert sorted(model_file.user_symbols(model)) == sorted(SYMBOLS)
        assert model_file.finish(model) == model  # nothing is left to do


def test_scores_add_up_without_rounding(models):
    """256 of them, each a multiple of 2**-10 and no less than that of an unknown character."""
    found = scores(models["unigram"])
    assert any(score % 1 for score in found)
    assert all(score % model_file.SCORE_STEP == 0 for score in found)
    assert 256 * (min(found) - 10) > -(2**24) * model_file.SCORE_STEP


def test_merge_priorities_stay_as_they_are(models):
    assert set(scores(models["bpe"])) >= set(map(float, range(-100, 0)))


def test_a_message_of_every_wire_type_is_read():
    message = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02hi" + struct.pack("<Bf", 0x25, 1.5)
    fields = list(model_file._fields(message))
    assert [field.number for field in fields] == [1, 2, 3, 4]
    assert fields[0].value == 150
    assert fields[2].value == b"hi"
    assert b"".join(field.raw for field in fields) == message
