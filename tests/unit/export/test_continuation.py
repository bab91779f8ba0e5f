"""What a client of the exported model gets, beside tokenizer and network themselves."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.generation import generate_text

CONTEXT = 40
PROMPTS = ["Fellow-Citizens", "", "\u00e9\u6f22 and \U0001f600"]


@pytest.fixture(scope="module")
def call(call_export, loaded):
    """Calls a signature with lists."""
    return call_export(loaded)


@pytest.fixture(scope="module")
def generate(call):
    """Calls `generate` with defaults, each value for every row."""

    def run(text, **changes):
        rows = len(text)
        same = {"temperature": 0, "top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1}
        same |= {"seed": 0, "max_new_tokens": 6}
        inputs = {name: [value] * rows for name, value in same.items()}
        stop = np.empty([rows, 0], object)
        return call("generate", **{"text": text, "stop": stop, **inputs, **changes})

    return run


def test_only_the_promised_signatures_and_types(loaded):
    """Names, and vectors or matrices of float32, int32 and strings with any batch size."""
    assert set(loaded.signatures) == {
        "serving_default", "generate", "score", "tokenize", "detokenize", "logits",
    }  # fmt: skip
    for function in loaded.signatures.values():
        inputs = function.structured_input_signature[1].values()
        for spec in [*inputs, *function.structured_outputs.values()]:
            assert spec.dtype in (tf.float32, tf.int32, tf.string)
            assert spec.shape[0] is None


def test_serving_default_uses_the_settings_of_the_run(call, generate, network, tokenizer, settings):
    """It gives what `generate_text` gives, and what `generate` gives with those settings."""
    found = call("serving_default", text=PROMPTS)
    assert set(found) == {"text", "finish_reason", "prompt_tokens", "completion_tokens"}
    expected = generate_text(network, tokenizer, PROMPTS, settings)
    assert [text.decode() for text in found["text"]] == [row.text for row in expected]
    assert found["prompt_tokens"].tolist() == [row.prompt_tokens for row in expected]
    assert found["completion_tokens"].tolist() == [row.completion_tokens for row in expected]
    assert len(set(found["text"])) == 3
    asked = generate(PROMPTS)
    for name, value in found.items():
        assert asked[name].tolist() == value.tolist()


def test_logits_are_the_models(call, network):
    """Within 1e-5 of the network that was exported, whatever stands after a row's length."""
    tokens = np.random.default_rng(0).integers(0, 512, (3, CONTEXT)).astype("int32")
    lengths = np.array([CONTEXT, 17, 0])
    expected = network({"tokens": tokens}).numpy()
    tokens[1, 17:] = -5
    tokens[2] = 10**6
    found = call("logits", tokens=tokens, lengths=lengths)["logits"]
    assert found.shape == (3, CONTEXT, 512)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[1, :17], expected[1, :17], atol=1e-5)
    assert np.ptp(expected) > 1


def test_score_is_the_log_softmax_of_the_model(call, network, tokenizer):
    """Each token given bos and those before it; padding counts nothing."""
    found = call("score", text=PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        ids = tokenizer.encode(prompt)
        count = len(ids)
        assert found["count"][row] == count
        assert found["tokens"][row].tolist() == ids + [0] * (len(found["tokens"][row]) - count)
        logits = network({"tokens": np.array([[2, *ids]], "int32")}).numpy()[0].astype("float64")
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = logits[np.arange(count), ids]
        np.testing.assert_allclose(found["log_probabilities"][row, :count], expected, atol=1e-5)
        assert not found["log_probabilities"][row, count:].any()
        np.testing.assert_allclose(found["sum"][row], expected.sum(), atol=1e-4)


def test_reported_log_probabilities_are_those_of_logits(call, generate, tokenizer):
    """`generate` says how probable its tokens are; `logits` of the whole text says the same."""
    made = generate(["It is with"])
    count = made["completion_tokens"][0]
    ids = [2, *tokenizer.encode("It is with"), *made["tokens"][0, :count]]
    logits = call("logits", tokens=[ids], lengths=[len(ids)])["logits"][0].astype("float64")
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = logits[np.arange(len(ids) - count, len(ids)) - 1, ids[-count:]]
    assert count > 2
    np.testing.assert_allclose(made["log_probabilities"][0, :count], expected, atol=1e-5)


def test_tokenize_and_detokenize_are_the_tokenizer(call, tokenizer):
    """Ids, lengths and the text back; what is no UTF-8 becomes U+FFFD on the way in and out."""
    found = call("tokenize", text=[*PROMPTS, b"a\xffb"])
    assert found["lengths"].tolist() == [len(tokenizer.encode(p)) for p in [*PROMPTS, "a\ufffdb"]]
    for ids, length, prompt in zip(found["tokens"], found["lengths"], PROMPTS, strict=False):
        assert ids[:length].tolist() == tokenizer.encode(prompt)
    found["tokens"][0, found["lengths"][0] :] = -1  # what follows the length is not looked at
    texts = [text.decode() for text in call("detokenize", **found)["text"]]
    assert texts == [*PROMPTS, "a\ufffdb"]
    half = call("detokenize", tokens=[[4 + 0xE6, 4 + 0xBC]], lengths=[2])["text"][0]
    assert half.decode() == "\ufffd\ufffd"


def test_rows_keep_their_own_settings(generate):
    """Greedy, sampled, short and stopped rows in one request, each as if alone."""
    text = ["Fellow-Citizens"] * 4
    rows = {
        "temperature": [0, 1.5, 0, 0],
        "top_k": [0, 50, 0, 0],
        "top_p": [1, 0.9, 1, 1],
        "max_new_tokens": [12, 12, 3, 12],
        "seed": [0, 9, 0, 0],
    }
    whole = generate(text[:1], max_new_tokens=[12])["text"][0]
    pairs = [whole[start : start + 2] for start in range(1, len(whole) - 1)]
    word = next(pair for pair in pairs if pair.isascii())
    stop = [[b"", b""], [b"", b""], [b"", b""], [b"never!", word]]
    together = generate(text, stop=stop, **rows)
    assert together["text"][0] == whole
    assert together["text"][3] == whole[: whole.find(word)]
    assert together["finish_reason"].tolist()[2:] == [b"length", b"stop"]
    assert together["completion_tokens"][2] == 3
    for row in range(4):
        one = slice(row, row + 1)
        alone = generate(text[one], stop=stop[one], **{k: v[one] for k, v in rows.items()})
        assert alone["text"][0] == together["text"][row]


def test_no_rows_give_no_rows(call, generate):
    """A batch of nothing, for every signature."""
    empty = np.empty([0], object)
    outputs = [call(name, text=empty) for name in ("serving_default", "score", "tokenize")]
    outputs.append(generate(empty, stop=np.empty([0, 2], object)))
    none = {"tokens": np.empty([0, 3]), "lengths": []}
    outputs += [call("detokenize", **none), call("logits", **none)]
    assert all(len(value) == 0 for output in outputs for value in output.values())


def test_empty_texts(call, generate):
    """Bos alone is a prompt; an empty text has no tokens, whatever stands beside it."""
    assert generate([""])["prompt_tokens"].tolist() == [1]
    assert call("score", text=["", "a"])["sum"][0] == 0
    assert call("score", text=[""])["log_probabilities"].shape == (1, 0)
    assert call("tokenize", text=["", ""])["lengths"].tolist() == [0, 0]
    assert call("detokenize", tokens=[[7]], lengths=[0])["text"].tolist() == [b""]
    assert call("logits", tokens=np.empty([2, 0]), lengths=[0, 0])["logits"].shape == (2, 0, 512)


def test_new_tokens_end_at_the_context(generate):
    """The largest int32 is no error: prompt and answer fill the context."""
    found = generate(["\0" * 30], max_new_tokens=[2**31 - 1])
    assert found["prompt_tokens"] + found["completion_tokens"] <= CONTEXT
    assert (found["prompt_tokens"] + found["completion_tokens"] == CONTEXT) == (
        found["finish_reason"] == b"length"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"temperature": [0, float("nan")]}, "row 1: temperature is nan, expected a number >= 0"),
        ({"temperature": [-0.5, 0]}, "row 0: temperature is -0.5, expected a number >= 0"),
        ({"temperature": [float("inf"), 0]}, "row 0: temperature is inf, expected a number >= 0"),
        ({"top_p": [1, 0]}, "row 1: top_p is 0, expected a number above 0 and at most 1"),
        ({"top_p": [1, 1.5]}, "row 1: top_p is 1.5, expected a number above 0 and at most 1"),
        ({"min_p": [0, 1]}, "row 1: min_p is 1, expected 0 for all tokens, or a number below 1"),
        ({"top_k": [-3, 0]}, "row 0: top_k is -3, expected 0 for all tokens, or more"),
        ({"max_new_tokens": [5, 0]}, "row 1: max_new_tokens is 0, expected at least 1"),
        (
            {"repetition_penalty": [1, 0]},
            "row 1: repetition_penalty is 0, expected a number above 0",
        ),
        ({"seed": [1, 2, 3]}, "seed has 3 rows, but text has 2"),
        ({"stop": [["x"] * 17] * 2}, "row 0: 17 stop strings, expected at most 16"),
        (
            {"stop": [["x"], ["\u00e9" * 65]]},
            "row 1: a stop string has 130 bytes, expected at most 128",
        ),
        ({"stop": [["x"], [b"\xff"]]}, "row 1: a stop string is not valid UTF-8"),
    ],
)
def test_refuses_settings_out_of_range(generate, changes, line, message):
    """INVALID_ARGUMENT with one line; the next request is answered."""
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        generate(["a", "b"], **changes)
    assert message(error) == line
    assert len(generate(["a", "b"])["text"]) == 2


@pytest.mark.parametrize("signature", ["serving_default", "generate"])
def test_refuses_a_prompt_longer_than_the_context(call, generate, signature, message):
    """One token less than the context is accepted; one more is refused with both lengths."""
    ask = generate if signature == "generate" else lambda text: call("serving_default", text=text)
    assert ask(["\0" * (CONTEXT - 2)])["prompt_tokens"].tolist() == [CONTEXT - 1]
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        ask(["a", "\0" * (CONTEXT - 1)])
    assert message(error) == (
        "row 1: the prompt has 40 tokens, special ones included; there is room for 39: shorten it"
    )


def test_refuses_ids_and_lengths_that_do_not_fit(call, message):
    """An id outside the vocabulary, a length beyond the row, a text beyond the context."""
    cases = {
        "row 1: token id 512 is not in the vocabulary of 512 pieces": (
            "detokenize", {"tokens": [[1, 2], [3, 512]], "lengths": [2, 2]},
        ),
        "row 0: token id -1 is not in the vocabulary of 512 pieces": (
            "logits", {"tokens": [[-1]], "lengths": [1]},
        ),
        "row 0: length is 3, expected 0 to 2": (
            "detokenize", {"tokens": [[1, 2]], "lengths": [3]},
        ),
        "row 0: length is -1, expected 0 to 2": ("logits", {"tokens": [[1, 2]], "lengths": [-1]}),
        "row 0: length is 41, expected 0 to 40": (
            "logits", {"tokens": [[5] * 41], "lengths": [41]},
        ),
        "lengths has 2 rows, but tokens has 1": (
            "detokenize", {"tokens": [[1, 2]], "lengths": [1, 1]},
        ),
        "row 0: the text has 41 tokens, special ones included; there is room for 40: shorten it": (
            "score", {"text": ["\0" * 41]},
        ),
    }  # fmt: skip
    for line, (signature, inputs) in cases.items():
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            call(signature, **inputs)
        assert message(error) == line
    assert call("score", text=["\0" * 40])["count"].tolist() == [40]
