"""Decontamination: planted passages are found, paraphrases are not."""

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data.decontamination import Contamination
from llm_keras.errors import UserError

SPEECHES = sorted(
    (Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union").glob("*.txt")
)
QUESTION = (
    "A train leaves the station at nine in the morning and travels east at sixty miles an hour"
    " while another leaves at ten."
)
PARAPHRASE = (
    "At nine o'clock a train departs heading east, going sixty miles each hour; a second train"
    " sets off one hour later, at ten."
)


@pytest.fixture
def evaluation(tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    rows = [{"question": QUESTION, "answer": {"text": "Noon", "options": ["x", "Blue sky"]}}]
    lines = "\n".join(map(json.dumps, rows)) + "\n\n"
    (folder / "trains.jsonl").write_text(lines, encoding="utf-8")
    (folder / "speech.txt").write_text(SPEECHES[0].read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "notes.png").write_bytes(b"\0")
    return folder


@pytest.fixture
def found(evaluation):
    return Contamination.load(config.Decontamination(paths=(str(evaluation),)))


def passages(text, n=12):
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def test_a_planted_passage_is_found_whatever_its_capitals_and_marks(found):
    other = SPEECHES[5].read_text(encoding="utf-8")
    assert found.hits(other) == {}
    planted = QUESTION.upper().replace(" ", "\n").replace(".", " ?!")
    assert found.hits(f"{other[:9000]} {planted} {other[9000:]}") == {"trains.jsonl": 12}


def test_a_paraphrase_is_not(found):
    assert found.hits(PARAPHRASE) == {}


def test_hits_are_the_shared_passages_counted_once(found):
    text = SPEECHES[0].read_text(encoding="utf-8")
    part = text[1000:3000]
    shared = passages(part) & passages(text)
    assert found.hits(part + " -- " + part) == {"speech.txt": len(shared)}


def test_eleven_words_in_a_row_are_no_passage(found):
    words = QUESTION.split()
    assert found.hits("x " + " ".join(words[:11]) + " y z") == {}
    assert found.hits("x " + " ".join(words[:12]) + " y z") == {"trains.jsonl": 1}


def test_a_short_text_is_found_only_alone(found):
    assert found.hits("BLUE sky!") == {"trains.jsonl": 1}
    assert found.hits("under a blue sky") == {}


def test_a_long_document_is_searched_in_pieces(found):
    rng = random.Random(0)
    filler = " ".join(str(rng.random()) for _ in range(30_000))
    assert found.hits(f"{filler} {QUESTION} {filler}") == {"trains.jsonl": 12}


def test_one_passage_in_two_files_hits_both(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(QUESTION, encoding="utf-8")
    both = Contamination.load(config.Decontamination(paths=(str(tmp_path),)))
    assert both.hits(QUESTION) == {"a.txt": 12, "b.txt": 12}


@given(st.lists(st.text("ab ", max_size=40), max_size=5))
@settings(max_examples=50)
def test_many_texts_at_once_are_as_each_alone(texts):
    ngrams = Contamination(2, ("x",), *_plain("a b a a b", 2))
    assert ngrams.hits_of(texts) == [ngrams.hits(text) for text in texts]
    for text, hits in zip(texts, ngrams.hits_of(texts), strict=True):
        words = text.split()
        if len(words) >= 2:
            shared = passages(text, 2) & passages("a b a a b", 2)
            assert hits == ({"x": len(shared)} if shared else {})


def _plain(text, n):
    import numpy as np

    from llm_keras.data import shingles

    hashes = np.unique(np.concatenate([b.hashes for b in shingles.blocks([text], "words", n)]))
    return hashes, np.zeros(len(hashes), np.int64)


def test_it_travels_by_a_file(found, tmp_path):
    found.write(tmp_path / "passages")
    again = Contamination.open(tmp_path / "passages")
    assert again.hits(QUESTION) == found.hits(QUESTION) == {"trains.jsonl": 12}
    assert again.files == found.files


def test_more_hits_than_allowed_drop(found):
    hits = found.hits(QUESTION)
    assert found.verdict(hits, 12).keep
    verdict = found.verdict(hits, 11)
    assert verdict.reason == "contaminated"
    assert verdict.detail == "12 > 11 passages of 12 words: trains.jsonl"
    assert found.verdict({}, 0).keep


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": "b"}\n{', "a.jsonl: line 2 is no JSON"),
        ("a.txt", b"\xff\xfe", "a.txt: evaluation texts cannot be read: no UTF-8"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl: line 1 is no JSON"),
        ("a.png", b"", "is no file, and no folder with files"),
    ],
)
def test_files_that_are_none_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)):
        Contamination.load(config.Decontamination(paths=(str(tmp_path),)))
