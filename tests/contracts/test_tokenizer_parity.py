"""One tokenizer file, two readers: Python, and TensorFlow in a SavedModel, agree.

TF Text links its own, older SentencePiece; byte-level BPE in the graph is our own; WordPiece there
is a table of ours before TF Text. Where Python and graph could differ, on odd Unicode, on literal
control tokens, on bytes that are no text, ids and decoded texts are compared here on 20,000
strings (kinds that share their ways with another: 5,000), each time in one call of the graph.

Where a file from elsewhere begins every text with a space, TF Text's older SentencePiece takes away
all leading spaces of a decoded text, and Python's one: there, texts are compared without them.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import tokenizers as package

from llm_keras import tokenizers
from llm_keras.config import Tokenizer
from llm_keras.tokenizers import SentencePieceTokenizer, byte_pairs, in_graph
from llm_keras.tokenizers.training import train
from tests import tokenizer_files
from tests.odd_strings import BY_HAND, SYMBOLS, odd_strings

STRINGS, SEQUENCES = 20_000, 4_000
#: Strings for kinds whose way of cutting or joining another kind shares.
FEWER_STRINGS = {"mistral": 5_000, "llama3": 5_000, "smollm2": 5_000, "minilm": 5_000}
TRAINED = ["bpe", "unigram"]
#: Files from elsewhere; Llama's way of cutting words, with GPT-2's merges.
IMPORTED = {
    "mistral": tokenizer_files.mistral,
    "gpt2": tokenizer_files.gpt2,
    "llama3": lambda: tokenizer_files.gpt2(
        tokenizer_files.split(byte_pairs.LLAMA3), ignore_merges=True
    ),
    "smollm2": tokenizer_files.smollm2,
    "minilm": tokenizer_files.minilm,
}
#: Those that lose nothing.
LOSSLESS = [*TRAINED, "gpt2", "llama3"]


@pytest.fixture(scope="module")
def texts(kind):
    count = FEWER_STRINGS.get(kind, STRINGS)
    strings = [*BY_HAND, *odd_strings(count - len(BY_HAND))]
    assert len(strings) == count
    assert len({ord(character) >> 16 for text in strings for character in text}) == 17
    return strings


@pytest.fixture(scope="module", params=[*TRAINED, *IMPORTED])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind):
    """Ours are trained on prose and on odd text, so that many odd pieces are in the vocabulary."""
    if kind in IMPORTED:
        return tokenizers.load(IMPORTED[kind]())
    prose = sorted(Path("examples/data/state_of_the_union").glob("*.txt"))[:3]
    odd = [text for number, text in enumerate(odd_strings(4_000, seed=1)) if number % 4]
    text = [path.read_text() for path in prose] + odd
    settings = Tokenizer(
        kind=kind,
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


@pytest.fixture(scope="module")
def ids(tokenizer, texts):
    return tokenizer.encode_batch(texts)


def ragged(ids):
    flat = [number for each in ids for number in each]
    lengths = tf.constant([len(each) for each in ids], tf.int64)
    return tf.RaggedTensor.from_row_lengths(tf.constant(flat, tf.int32), lengths)


def _comparable(texts, kind):
    return [text.lstrip(" ") for text in texts] if kind == "mistral" else texts


def test_ids_are_equal_on_odd_strings(kind, tokenizer, exported, texts, ids):
    theirs = exported.encode(tf.constant([text.encode() for text in texts])).to_list()
    different = [n for n in range(len(texts)) if ids[n] != theirs[n]]
    assert not different, ascii(texts[different[0]][:200])
    used = {number for each in ids for number in each}
    special = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.mask_id}
    assert not used & special
    assert tokenizer.unk_id not in used or kind == "minilm"
    assert len(used) > (900 if len(texts) == STRINGS else 400)  # many pieces took part


@pytest.mark.parametrize("kind", IMPORTED, scope="module")
def test_ids_are_those_of_an_independent_reader(kind, texts, ids):
    """Of the file as it is, told not to look for special tokens in texts; no word of ours there."""
    if kind == "mistral":
        import sentencepiece

        library = sentencepiece.SentencePieceProcessor(model_proto=IMPORTED[kind]())
        assert library.encode(texts) == ids
        return
    library = package.Tokenizer.from_str(IMPORTED[kind]().decode())
    library.no_padding()
    library.no_truncation()
    library.encode_special_tokens = True
    theirs = library.encode_batch(texts, add_special_tokens=False)
    assert [each.ids for each in theirs] == ids


def test_both_give_the_text_back(kind, tokenizer, exported, texts, ids):
    ours = [tokenizer.decode(each) for each in ids]
    theirs = [text.decode() for text in exported.decode(ragged(ids)).numpy()]
    assert _comparable(theirs, kind) == _comparable(ours, kind)
    if kind in LOSSLESS:
        assert ours == texts


def test_decoding_is_equal_on_any_ids(kind, tokenizer, exported):
    """Half of the ids are byte or special pieces, so most sequences hold broken characters."""
    rng = random.Random(2)
    sizes = [tokenizer.vocabulary_size, 4 + len(SYMBOLS) + 256]
    ids = [
        [rng.randrange(rng.choice(sizes)) for _ in range(rng.randrange(20))]
        for _ in range(SEQUENCES)
    ]
    ours = [tokenizer.decode(each) for each in ids]
    theirs = exported.decode(ragged(ids)).numpy()
    theirs = [text.decode("utf-8", "strict") for text in theirs]
    assert _comparable(ours, kind) == _comparable(theirs, kind)
    assert kind == "minilm" or sum("\ufffd" in text for text in ours) > SEQUENCES / 4


def test_bytes_that_are_no_text_are_replacement_characters_in_the_graph(kind, tokenizer, exported):
    rng = random.Random(3)
    broken = [rng.randbytes(rng.randrange(1, 30)) for _ in range(5_000)]
    broken += [b"a\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "\u00e9".encode()[:1]]
    ids = exported.encode(tf.constant(broken))
    if kind not in LOSSLESS:
        clean = tf.strings.unicode_transcode(broken, "UTF-8", "UTF-8").numpy()
        assert ids.to_list() == tokenizer.encode_batch(text.decode() for text in clean)
        return
    for text, back in zip(broken, exported.decode(ids).numpy(), strict=True):
        assert back.decode() == text.decode("utf-8", "replace") or "\ufffd" in back.decode()
        if text.decode("utf-8", "ignore").encode() == text:
            assert back == text


def test_empty_batches_and_texts_keep_their_shape(exported):
    assert exported.encode(tf.constant([], tf.string)).to_list() == []
    assert exported.encode(tf.constant(["", "a", ""])).row_lengths().numpy().tolist()[::2] == [0, 0]
    assert exported.decode(ragged([[], []])).numpy().tolist() == [b"", b""]


def test_the_python_tokenizer_needs_no_tensorflow():
    """Beam workers hold it; the twin is a module of its own."""
    code = "import sys, llm_keras.tokenizers; print('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
