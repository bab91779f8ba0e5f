"""Files of tokenizer.json: what is read, what comes back, and what is refused."""

import json
import pickle
import random

import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from llm_keras import tokenizers
from llm_keras.errors import UserError
from llm_keras.tokenizers import byte_pairs, in_graph
from tests import tokenizer_files

texts = st.text(st.characters(exclude_categories=["Cs"]))
MERGES = ["a b", "ab ab", "Ġ t", "h e", "Ġt he", "c c", "1 2"]
SPECIAL = {"id": 300, "content": "<|end|>", "special": True, **tokenizer_files.FLAGS}
TOOL = {"id": 301, "content": "<tool>", "special": False, **tokenizer_files.FLAGS}


def small(merges=MERGES, added=(SPECIAL,), **parts):
    """A byte-level BPE of 256 bytes and a few merges."""
    pieces = [*byte_pairs.byte_alphabet(), *(merge.replace(" ", "") for merge in merges)]
    model = {"type": "BPE", "vocab": {p: n for n, p in enumerate(pieces)}, "merges": list(merges)}
    model |= parts.pop("model", {})
    content = {
        "version": "1.0",
        "added_tokens": list(added),
        "normalizer": None,
        "pre_tokenizer": tokenizer_files.byte_level(),
        "post_processor": None,
        "decoder": tokenizer_files.byte_level(),
        "model": model,
        **parts,
    }
    return json.dumps(content).encode()


def named(model=None, **settings):
    return tokenizers.with_special_tokens(model or small(), {"eos_token": "<|end|>", **settings})


def both(model, strings):
    """Ids in Python, once they are found equal in the graph."""
    ids = tokenizers.load(model).encode_batch(strings)
    assert in_graph.load(model).encode(tf.constant(strings)).to_list() == ids
    return ids


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.load(named())


@given(texts)
@example("")
@example("  two  spaces\t\ttabs\r\n\n\nlines \u00a0\u3000 ")
@example("\0\ufdd0\u2581\U0010ffff\ufffe\ufeff the")
@example("<|end|>")
def test_every_text_comes_back(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert 300 not in ids
    assert b"".join(tokenizer.piece_bytes()[number] for number in ids).decode() == text


def test_what_the_protocol_asks_for(tokenizer):
    """Whoever does not say more has eos in all places."""
    assert tokenizer.vocabulary_size == len(tokenizer.piece_bytes()) == 301
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (300,) * 4
    assert tokenizer.mask_id is None
    assert not tokenizer.adds_bos
    assert tokenizer.piece(260) == "Ġthe"
    assert tokenizer.decode([260, 300, 256]) == " theab"
    with pytest.raises(UserError, match="token id 301 is not in the vocabulary of 301 pieces"):
        tokenizer.decode([301])


def test_it_travels_to_workers(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.sha256 == tokenizer.sha256
    assert copy.encode_batch(["abab", ""]) == tokenizer.encode_batch(["abab", ""]) == [[257], []]


def test_a_lone_surrogate_counts_as_a_replacement_character(tokenizer):
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("a\ufffdb")


def test_pairs_overlap_from_the_left():
    """In five c the first two and the next two are joined; all words of a batch at once."""
    cc = 256 + MERGES.index("c c")
    expected = [[cc, cc, ord("c")], [cc] * 20_000, [cc, ord("c")]]
    assert both(named(), ["c" * 5, "c" * 40_000, "ccc"]) == expected


def test_a_long_word_is_joined_at_many_places_at_once():
    """Random letters have thousands of different pairs: a turn for each would take minutes."""
    rng = random.Random(0)
    words = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=size)) for size in (20, 2_000, 20_000)
    ]
    words += ["".join(rng.choices(["a", "b", "aaaa", "the", "ing"], k=5_000)) for _ in range(3)]
    both(tokenizer_files.gpt2(), words)


def test_an_added_token_is_one_id_wherever_it_stands():
    """A special one is never; that one is spelt."""
    model = named(small(added=(SPECIAL, TOOL)))
    (ids,) = both(model, ["ab<tool><tool>c<|end|>"])
    assert ids[:4] == [256, 301, 301, ord("c")]
    assert len(ids) == 4 + len("<|end|>")
    assert tokenizers.load(model).decode(ids) == "ab<tool><tool>c<|end|>"


def test_whole_words_become_their_piece_at_once():
    """Llama 3 has pieces that its merges do not lead to."""
    vocabulary = json.loads(small())["model"]["vocab"] | {"xyz": 263}
    ids = [
        both(named(small(model={"vocab": vocabulary, "ignore_merges": whole})), ["xyz xyz"])[0]
        for whole in (True, False)
    ]
    assert ids[0][0] == 263
    assert 263 not in ids[1]


def test_a_space_goes_in_front_where_the_file_says_so():
    model = named(small(pre_tokenizer=tokenizer_files.byte_level(add_prefix_space=True)))
    assert both(model, ["the", " the", ""]) == [[260], [260], []]


def test_nfc_composes():
    model = named(small(normalizer={"type": "NFC"}))
    assert both(model, ["e\u0301"]) == both(model, ["\u00e9"])
    assert tokenizers.load(model).decode(both(model, ["e\u0301"])[0]) == "\u00e9"


def test_special_tokens_are_those_of_the_settings():
    """As tokenizer_config.json has them, with names or with objects."""
    model = named(
        small(added=(SPECIAL, {**SPECIAL, "id": 301, "content": "<|begin|>"})),
        bos_token={"content": "<|begin|>"},
        pad_token="<|begin|>",
        add_bos_token=True,
    )
    found = tokenizers.load(model)
    assert (found.bos_id, found.eos_id, found.pad_id, found.adds_bos) == (301, 300, 301, True)


def test_other_readers_put_the_same_tokens_around_a_text():
    """What is written for us is a post-processor that the package understands."""
    import tokenizers as package

    model = tokenizers.with_special_tokens(tokenizer_files.minilm(), {"pad_token": "[PAD]"})
    library = package.Tokenizer.from_str(model.decode())
    ours = tokenizers.load(model)
    library.no_padding()
    assert library.encode("a cat").ids == [ours.bos_id, *ours.encode("a cat"), ours.eos_id]


def test_rows_without_a_token_get_unused_ones():
    """Qwen 2's embedding has more rows than its file has tokens."""
    model = tokenizers.with_special_tokens(small(), {"eos_token": "<|end|>"}, vocabulary_size=384)
    found = tokenizers.load(model)
    assert found.vocabulary_size == 384
    assert found.decode([383]) == ""
    assert both(model, ["the cab"]) == both(named(), ["the cab"])
    with pytest.raises(UserError, match="301 tokens, but the model's embedding 200 rows"):
        tokenizers.with_special_tokens(small(), {}, vocabulary_size=200)


def test_a_name_that_is_no_token_is_refused():
    with pytest.raises(UserError, match="bos is '<s>', which is no token of it"):
        named(bos_token="<s>")


def test_gpt2_begins_and_ends_with_the_same_token():
    """Known by its usual name."""
    gpt2 = tokenizers.load(tokenizer_files.gpt2())
    assert (gpt2.bos_id, gpt2.eos_id, gpt2.pad_id, gpt2.adds_bos) == (50256,) * 3 + (False,)
    assert gpt2.encode("The capital of France is") == [464, 3139, 286, 4881, 318]


def test_wordpiece_keeps_words_only():
    bert = tokenizers.load(tokenizer_files.minilm())
    assert (bert.bos_id, bert.eos_id, bert.mask_id, bert.pad_id) == (101, 102, 103, 0)
    assert bert.adds_bos
    ids = bert.encode("The Café's   unaffable [MASK]\u4e00")
    assert bert.mask_id not in ids
    assert bert.decode([101, *ids, 102]) == "the cafe ' s unaffable [ mask ] \u4e00"
    assert bert.encode("x" * 101) == [bert.unk_id]
    assert bert.decode([bert.unk_id]) == ""


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, "model Unigram is not supported"),
        ({"model": {"byte_fallback": True}}, "BPE with byte_fallback is not supported"),
        ({"model": {"dropout": 0.1}}, "BPE with dropout is not supported"),
        ({"normalizer": {"type": "Lowercase"}}, "normalizer Lowercase is not supported"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "pre-tokenizer Metaspace is not supported"),
        ({"pre_tokenizer": None}, "pre-tokenizer None is not supported"),
        ({"pre_tokenizer": tokenizer_files.split("[a-z]+")}, "Split with this expression"),
        ({"post_processor": {"type": "New"}}, "post-processor New is not supported"),
        ({"added": [SPECIAL, {**TOOL, "lstrip": True}]}, "'<tool>' with lstrip is not supported"),
        ({"merges": ["ab ab", "a b"]}, "a merge that uses 'ab' before it is made"),
    ],
)
def test_what_would_come_out_different_is_refused(parts, expected):
    with pytest.raises(UserError) as caught:
        tokenizers.load(small(**parts))
    assert expected in str(caught.value)
    assert "expected" in str(caught.value) or "only templates" in str(caught.value)


def test_a_file_that_does_not_say_how_a_text_ends_is_refused():
    with pytest.raises(UserError, match=r"which token ends a text; keep tokenizer_config\.json"):
        tokenizers.load(small())


@pytest.mark.parametrize("content", [b"{}", b'{"model": 1}', b'{"model'])
def test_json_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.json: \d+ bytes that are no tokenizer\.json"):
        tokenizers.load(path)
