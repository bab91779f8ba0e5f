"""Training a tokenizer: the same bytes every time, one clear line when it cannot be done."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from llm_keras.errors import UserError
from llm_keras.tokenizers import SentencePieceTokenizer, sample, train_tokenizer
from llm_keras.tokenizers.training import train

KINDS = ["bpe", "unigram"]


def mistake(*arguments):
    with pytest.raises(UserError) as caught:
        train_tokenizer(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_the_same_bytes_whatever_the_files(
    kind, addresses, make_folder, make_run
):
    run = make_run(kind=kind)
    one, two = make_folder(addresses, files=1, name="a"), make_folder(addresses, files=3, name="b")
    train_tokenizer(run, one)
    train_tokenizer(run, two)
    assert one.tokenizer_model.read_bytes() == two.tokenizer_model.read_bytes()


def test_another_process_gives_the_same_bytes(addresses, make_run):
    """Neither hash seeds nor temporary file names get into the model."""
    here = train(addresses[:1], make_run(kind="unigram").tokenizer)
    script = (
        "import sys, hashlib\n"
        "from llm_keras.config import Tokenizer\n"
        "from llm_keras.tokenizers.training import train\n"
        "settings = Tokenizer(kind='unigram', vocabulary_size=400)\n"
        "print(hashlib.sha256(train([sys.stdin.read()], settings)).hexdigest())\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", script],
        input=addresses[0],
        env=os.environ | {"PYTHONHASHSEED": "7", "TMPDIR": "/dev/shm"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_the_model_holds_no_path(addresses, make_run):
    model = train(addresses[:1], make_run().tokenizer)
    assert b".tsv" not in model
    assert b"/tmp" not in model


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_long_line_is_learned(kind, addresses, make_run):
    """A line of 50 KB without a line feed is not skipped, nor its end forgotten."""
    long = addresses[0].replace("\n", " ") * 5 + " Zyzzyva" * 200
    assert len(long) > 50_000
    assert "\n" not in long
    tokenizer = SentencePieceTokenizer(train([long], make_run(kind=kind).tokenizer))
    assert len(tokenizer.encode(" Zyzzyva")) <= 3


def test_a_word_of_a_megabyte_is_trained_on(make_run):
    """SentencePiece itself ends the process at a word of more than 65,535 characters."""
    settings = make_run(vocabulary_size=263).tokenizer
    tokenizer = SentencePieceTokenizer(train(["ab" * 500_000], settings))
    assert len(tokenizer.encode("abab")) < 4


def test_the_unknown_sign_does_not_hide_its_document(make_run):
    """SentencePiece skips every line with U+2585; only the sign itself may be lost."""
    settings = make_run(vocabulary_size=270).tokenizer
    tokenizer = SentencePieceTokenizer(train(["hello\u2585 hello hello"], settings))
    assert len(tokenizer.encode("hello")) <= 2
    assert tokenizer.decode(tokenizer.encode("\u2585")) == "\u2585"


@pytest.mark.parametrize("kind", KINDS)
def test_user_symbols_are_one_piece_wherever_they_stand(kind, addresses, make_run):
    symbols = ("<|user|>", "\n\n", '"', "a,b", "the", "\t")
    settings = make_run(kind=kind, user_symbols=symbols).tokenizer
    tokenizer = SentencePieceTokenizer(train(addresses[:1], settings))
    for symbol in symbols:
        ids = tokenizer.encode(f"x{symbol}y{symbol}")
        assert len(tokenizer.encode(symbol)) == 1
        assert ids.count(tokenizer.encode(symbol)[0]) == 2
        assert tokenizer.decode(ids) == f"x{symbol}y{symbol}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_too_large_names_the_largest_that_works(
    kind, addresses, make_folder, make_run
):
    folder = make_folder([addresses[0][:3000]])
    message = mistake(make_run(kind=kind, vocabulary_size=50_000), folder)
    found = re.search(r"vocabulary_size 50000: the training text supports at most (\d+)", message)
    assert found, message
    assert not folder.tokenizer_model.exists()
    largest = int(found[1])
    train_tokenizer(make_run(kind=kind, vocabulary_size=largest), folder)
    assert SentencePieceTokenizer(folder.tokenizer_model).vocabulary_size == largest
    assert f"at most {largest}" in mistake(make_run(kind=kind, vocabulary_size=largest + 1), folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_too_small_for_the_characters_says_what_they_need(kind, make_folder, make_run):
    folder = make_folder(["".join(map(chr, range(0x4E00, 0x5200))) * 2])
    message = mistake(make_run(kind=kind, vocabulary_size=400), folder)
    assert "tokenizer.vocabulary_size 400" in message
    assert "lower tokenizer.character_coverage 0.9995" in message
    needed = int(re.search(r"alone need (\d+)", message)[1])
    train_tokenizer(make_run(kind=kind, vocabulary_size=needed), folder)
    assert SentencePieceTokenizer(folder.tokenizer_model).vocabulary_size == needed


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_an_empty_corpus_leaves_no_vocabulary(texts, make_folder, make_run):
    folder = make_folder(texts)
    assert "no text in the training documents" in mistake(make_run(), folder)
    assert not folder.tokenizer_model.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a", " ", "\n", "\0", "\u2581", "\u2585", "ab" * 50_000])
def test_a_corpus_with_hardly_any_text_is_one_clear_line(kind, text, make_folder, make_run):
    folder = make_folder([text])
    message = mistake(make_run(kind=kind), folder)
    assert "supports at most" in message or "no text" in message or "hold no text" in message
    assert not folder.tokenizer_model.exists()


def test_a_kill_while_writing_leaves_no_half_vocabulary(addresses, make_folder, make_run, tmp_path):
    folder = make_folder(addresses[:1])
    script = (
        "import os, pathlib, signal, sys\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from llm_keras.run_folder import RunFolder\n"
        "from llm_keras.config import Run\n"
        "from llm_keras.tokenizers import train_tokenizer\n"
        "run = Run.model_validate_json(sys.stdin.read())\n"
        f"train_tokenizer(run, RunFolder(pathlib.Path({str(folder.root)!r})))\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], input=make_run().model_dump_json(), text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in folder.tokenizer_model.parent.iterdir()] == [
        "tokenizer.model.partial"
    ]
    train_tokenizer(make_run(), folder)
    assert sorted(path.name for path in folder.tokenizer_model.parent.iterdir()) == [
        "about.json",
        "tokenizer.model",
    ]


def test_a_full_disk_keeps_the_earlier_vocabulary(addresses, make_folder, make_run, monkeypatch):
    folder = make_folder(addresses[:1])
    train_tokenizer(make_run(), folder)
    before = folder.tokenizer_model.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llm_keras.files.os.fsync", full)
    message = mistake(make_run(vocabulary_size=500), folder)
    assert message == f"{folder.tokenizer_model}: cannot be written: No space left on device"
    assert folder.tokenizer_model.read_bytes() == before
    assert not list(folder.tokenizer_model.parent.glob("*.partial"))


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ([""], "1 to 64 characters"),
        (["x" * 65], "1 to 64 characters"),
        (["a b"], "without a space"),
        (["\u2581"], "U+2581"),
        (["\ufdd1"], "U+FDD0 to U+FDD2"),
        (["</s>"], "'</s>' is a piece that every model has"),
        (["<0x0A>"], "'<0x0A>' is a piece that every model has"),
        (["<a>", "<a>"], "'<a>' stands twice"),
    ],
)
def test_symbols_that_cannot_be_one_piece_are_refused_before_anything_runs(
    symbols, expected, make_run
):
    with pytest.raises(ValueError, match=re.escape(expected)):
        make_run(user_symbols=symbols)


def test_the_description_fits_the_model(addresses, make_folder, make_run):
    folder = make_folder(addresses)
    train_tokenizer(make_run(sample_bytes=10_000), folder)
    about = json.loads(folder.tokenizer_about.read_text())
    tokenizer = SentencePieceTokenizer(folder.tokenizer_model)
    text = "".join(sample.take(sample.read_texts(folder.documents), 10_000).texts)
    assert about["sha256"] == tokenizer.sha256
    assert about["sample"]["bytes"] == len(text.encode()) == 10_000
    assert about["bytes_per_token"] == pytest.approx(
        len(text.encode()) / len(tokenizer.encode(text)), rel=0.01
    )
    assert about["settings"]["vocabulary_size"] == tokenizer.vocabulary_size


def test_sentencepiece_prints_nothing(addresses, make_run, capfd):
    SentencePieceTokenizer(train(addresses[:1], make_run().tokenizer)).encode("silence")
    assert capfd.readouterr() == ("", "")
