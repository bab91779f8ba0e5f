"""One model file, two readers: SentencePiece in Python and TF Text in a SavedModel agree.

TF Text links its own, older SentencePiece. Where the two could differ, on odd Unicode, on literal
control tokens, on bytes that are no text, ids and decoded texts are compared here on 20,000
strings, each time in one call of the graph.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from llm_keras.config import Tokenizer
from llm_keras.tokenizers import SentencePieceTokenizer, in_graph
from llm_keras.tokenizers.training import train

STRINGS, SEQUENCES = 20_000, 20_000
SYMBOLS = ("<|user|>", "\n\n", "e\u0301")
BY_HAND = [
    *("", " ", "  ", "\n", "\t", "\0", "a\0b", "\r\n", " a", "a ", " \u2047 "),
    *("<s>", "</s>", "<pad>", "<unk>", "<0x00>", "<0x41>", "<s></s>", *SYMBOLS),
    *(
        "\u2581",
        "a\u2581b",
        "\u2581\u2581",
        "\ufdd0",
        "\ufdd0\ufdd1",
        "\ufdd0\ufdd2",
        "\ufdd0\u2581",
    ),
    *("\ufeff", "\ufffe", "\ufffd", "\u2585", "\u2028", "\u200b", "\U0010ffff", "\ud7ff\ue000"),
    *("\u05e9\u05dc\u05d5\u05dd", "\u202eabc", "\u0645\u0631\u062d\u0628\u0627 1,5"),
    *("e\u0301\u0302\u0303", "\u1100\u1161\u11a8", "\ufb01", "\u00c5\u212b\u0041\u030a"),
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3fd\ufe0f",
    *("long " * 20_000, "x" * 100_000, "\u4e00" * 30_000),
]
ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz   ,.'",
    " \t\n\r\v\f\u0085\u00a0\u1680\u2003\u2028\u3000\u200b\ufeff",
    "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "\u0300\u0301\u0327\u0345\u05b0\u064b\u0e31\u3099aeoi\u00e9",
    "\u05d0\u05d1\u0627\u0628\u0660\u200e\u200f\u202a\u202e\u2066\u2069 ",
    "\U0001f468\U0001f469\U0001f3fb\u200d\ufe0f\u20e3\U0001f1e6\U0001f1fa\u2764",
    "\u2581\ufdd0\ufdd1\ufdd201\u2585\u2047\ufffd<>/s ",
]
PIECES = ["<s>", "</s>", "<pad>", "<unk>", "<0x0A>", *SYMBOLS, " the", "Union", "\u2581", "\0"]


def odd_strings(count, seed=0):
    """Strings of every plane, alphabet and length that the list above does not have."""
    rng = random.Random(seed)
    result = []
    for number in range(count):
        length = int(rng.expovariate(1 / 12))
        match number % 4:
            case 0:  # any code point of any plane, each plane as likely
                points = ((rng.randrange(17) << 16) + rng.randrange(1 << 16) for _ in range(length))
                result.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
            case 1:
                result.append("".join(rng.choices(rng.choice(ALPHABETS), k=length)))
            case 2:
                result.append("".join(rng.choice(rng.choice(ALPHABETS)) for _ in range(length)))
            case _:
                result.append("".join(rng.choice([*PIECES, *"ab "]) for _ in range(length)))
    return result


@pytest.fixture(scope="module")
def texts():
    strings = [*BY_HAND, *odd_strings(STRINGS - len(BY_HAND))]
    assert len(strings) == STRINGS
    assert len({ord(character) >> 16 for text in strings for character in text}) == 17
    return strings


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request):
    """Trained on prose and on odd text, so that many odd pieces are in the vocabulary."""
    prose = sorted(Path("examples/data/state_of_the_union").glob("*.txt"))[:3]
    odd = [text for number, text in enumerate(odd_strings(4_000, seed=1)) if number % 4]
    text = [path.read_text() for path in prose] + odd
    settings = Tokenizer(
        kind=request.param,
        vocabulary_size=2_000,
        user_symbols=SYMBOLS,
        character_coverage=0.99,
    )
    return SentencePieceTokenizer(train(text, settings))


@pytest.fixture(scope="module")
def exported(tokenizer, tmp_path_factory):
    """The twin after a way through a SavedModel, as functions of its signatures' kind."""
    module = tf.Module()
    module.tokenizer = in_graph.load(tokenizer.model)
    module.encode = tf.function(
        module.tokenizer.encode, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    module.decode = tf.function(
        module.tokenizer.decode,
        input_signature=[tf.RaggedTensorSpec([None, None], tf.int32, row_splits_dtype=tf.int64)],
    )
    path = tmp_path_factory.mktemp("export") / "1"
    tf.saved_model.save(module, str(path))
    return tf.saved_model.load(str(path))


def test_ids_are_equal_on_20000_odd_strings(tokenizer, exported, texts):
    ours = tokenizer.encode_batch(texts)
    theirs = exported.encode(tf.constant([text.encode() for text in texts])).to_list()
    different = [n for n in range(STRINGS) if ours[n] != theirs[n]]
    assert not different, ascii(texts[different[0]][:200])
    assert min(map(min, filter(None, ours))) > tokenizer.eos_id  # never a special id
    assert len({number for ids in ours for number in ids}) > 900  # many pieces took part


def test_both_give_the_text_back(tokenizer, exported, texts):
    ids = tokenizer.encode_batch(texts)
    assert [tokenizer.decode(each) for each in ids] == texts
    theirs = exported.decode(tf.ragged.constant(ids, tf.int32, row_splits_dtype=tf.int64)).numpy()
    assert [text.decode() for text in theirs] == texts


def test_decoding_is_equal_on_any_ids(tokenizer, exported):
    """Half of the ids are byte or special pieces, so most sequences hold broken characters."""
    rng = random.Random(2)
    sizes = [tokenizer.vocabulary_size, 4 + len(SYMBOLS) + 256]
    ids = [
        [rng.randrange(rng.choice(sizes)) for _ in range(rng.randrange(20))]
        for _ in range(SEQUENCES)
    ]
    ours = [tokenizer.decode(each) for each in ids]
    theirs = exported.decode(tf.ragged.constant(ids, tf.int32, row_splits_dtype=tf.int64)).numpy()
    assert ours == [text.decode("utf-8", "strict") for text in theirs]
    assert sum("\ufffd" in text for text in ours) > SEQUENCES / 4


def test_bytes_that_are_no_text_are_replacement_characters_in_the_graph(tokenizer, exported):
    rng = random.Random(3)
    broken = [rng.randbytes(rng.randrange(1, 30)) for _ in range(5_000)]
    broken += [b"a\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "\u00e9".encode()[:1]]
    ids = exported.encode(tf.constant(broken))
    for text, back in zip(broken, exported.decode(ids).numpy(), strict=True):
        assert back.decode() == text.decode("utf-8", "replace") or "\ufffd" in back.decode()
        if text.decode("utf-8", "ignore").encode() == text:
            assert back == text


def test_empty_batches_and_texts_keep_their_shape(exported):
    assert exported.encode(tf.constant([], tf.string)).to_list() == []
    assert exported.encode(tf.constant(["", "a", ""])).row_lengths().numpy().tolist()[::2] == [0, 0]
    empty = tf.ragged.constant([[], []], tf.int32, ragged_rank=1, row_splits_dtype=tf.int64)
    assert exported.decode(empty).numpy().tolist() == [b"", b""]


def test_the_python_tokenizer_needs_no_tensorflow():
    """Beam workers hold it; the twin is a module of its own."""
    code = "import sys, llm_keras.tokenizers; print('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
