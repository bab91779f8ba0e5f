"""Generated text against the model called without a cache."""

import numpy as np
import pytest

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.generation import generate_text

PROMPTS = ["Fellow-Citizens of the Senate", "", "It is with", "\u00e9\u6f22 "]
GREEDY = config.Generation(max_new_tokens=12, temperature=0)
SAMPLED = config.Generation(max_new_tokens=20, temperature=1.2, top_k=40, top_p=0.9, min_p=0.01)
KINDS = {
    "rotary": {},
    "learned": {"positions": "learned", "normalization": "layer_norm", "activation": "gelu"},
    "sinusoidal": {"positions": "sinusoidal", "norm_placement": "post", "tie_embeddings": False},
}


def rows_of(found):
    """Tokens, text and reason of each row."""
    lengths, tokens = found.completion_tokens.numpy(), found.tokens.numpy()
    tokens = [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]
    return list(zip(tokens, found.text.numpy(), found.finish_reason.numpy(), strict=True))


def log_softmax(logits):
    """In float64."""
    shifted = logits.astype("float64") - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("kind", KINDS)
def test_cached_decoding_equals_uncached(make_network, make_answer, tokenizer, kind):
    """The whole text given to the model at once has each chosen token as its best next one.

    So a loop without a cache would choose the same; log-probabilities agree within 1e-5.
    """
    network = make_network(**KINDS[kind])
    found = make_answer(network)(PROMPTS, GREEDY)
    texts = set()
    for row, (tokens, text, reason) in enumerate(rows_of(found)):
        prompt = [2, *tokenizer.encode(PROMPTS[row])]
        whole = np.array([prompt + tokens], "int32")
        scores = log_softmax(network({"tokens": whole}).numpy()[0, len(prompt) - 1 :])
        best = scores[:, 3:].argmax(-1) + 3  # pad, unk and bos are never chosen
        assert best[: len(tokens)].tolist() == tokens
        assert (reason == b"stop") == (len(tokens) < 12)
        if reason == b"stop":
            assert best[-1] == tokenizer.eos_id
        expected = scores[np.arange(len(tokens)), tokens]
        given = found.log_probabilities.numpy()[row, : len(tokens)]
        np.testing.assert_allclose(given, expected, atol=1e-5, rtol=0)
        assert text.decode() == tokenizer.decode(tokens)
        assert found.prompt_tokens[row] == len(prompt)
        texts.add(text)
    assert len(texts) > 1  # it would prove little if the model always said the same


def test_a_prompt_is_continued_the_same_alone_and_among_others(answer):
    """Sampled with top-k and top-p: neither batch mates nor their length change a row."""
    together = rows_of(answer(PROMPTS, SAMPLED, seed=[5, 6, 7, 5]))
    for row, seed in enumerate([5, 6, 7, 5]):
        assert rows_of(answer(PROMPTS[row : row + 1], SAMPLED, seed)) == [together[row]]
    assert together != rows_of(answer(PROMPTS, SAMPLED, seed=[1, 2, 3, 4]))


def test_a_stop_string_across_tokens_cuts_the_text(answer):
    """Every three bytes of an answer as stop string, however its tokens lie."""
    ((tokens, text, _),) = rows_of(answer(PROMPTS[:1], GREEDY))
    stops = {text[start : start + 3] for start in range(1, len(text) - 3)}
    stops = {stop for stop in stops if stop.isascii()}
    assert len(stops) > 5
    for stop in stops:
        ((kept, cut, reason),) = rows_of(answer(PROMPTS[:1], GREEDY, stop=stop))
        assert cut == text[: text.find(stop)]
        assert reason == b"stop"
        assert kept == tokens[: len(kept)]


def test_ends_at_the_context(answer):
    """More tokens than fit are not an error: prompt and answer fill the context."""
    found = answer(PROMPTS, GREEDY.model_copy(update={"max_new_tokens": 1000}))
    total = (found.prompt_tokens + found.completion_tokens).numpy()
    full = found.finish_reason.numpy() == b"length"
    assert full.any()
    assert ((total == 48) == full).all()


def test_text_is_utf8_when_the_model_speaks_in_bytes(answer, tokenizer):
    """Random weights pick byte pieces that are no characters: U+FFFD, as SentencePiece decodes."""
    settings = config.Generation(max_new_tokens=40, temperature=5, top_p=1)
    rows = rows_of(answer([""] * 8, settings, seed=range(8)))
    assert any("\ufffd" in text.decode() for _, text, _ in rows)
    assert all(text.decode() == tokenizer.decode(tokens) for tokens, text, _ in rows)


def test_completions(network, tokenizer, answer):
    """The Python interface: one `Completion` a prompt; surrogates count as U+FFFD."""
    prompts = ["a b", "x\ud800y", "x\ufffdy"]
    plain, odd, same = generate_text(network, tokenizer, prompts, SAMPLED, seed=3)
    assert odd == same
    ((tokens, text, reason),) = rows_of(answer(["a b"], SAMPLED, seed=3))
    assert (plain.text, plain.finish_reason) == (text.decode(), reason.decode())
    assert plain.prompt_tokens == 1 + len(tokenizer.encode("a b"))
    assert plain.completion_tokens == len(tokens)


def test_no_prompts_give_no_completions(network, tokenizer):
    """An empty list is no mistake."""
    assert generate_text(network, tokenizer, [], GREEDY) == []


def test_a_prompt_that_is_too_long_is_refused(network, tokenizer):
    """The message has both lengths, and no text of the prompt."""
    with pytest.raises(UserError) as error:
        generate_text(network, tokenizer, ["short", "\0" * 47], GREEDY)
    assert str(error.value) == (
        "prompt 2 has 48 tokens, special ones included, but the context of 48 tokens has room for"
        " 47; shorten it"
    )


def test_the_longest_prompt_gets_one_token(answer):
    """Bos, 46 bytes, and the last place of the context."""
    (row,) = rows_of(answer(["\0" * 46], GREEDY))
    assert len(row[0]) + (row[2] == b"stop") == 1
