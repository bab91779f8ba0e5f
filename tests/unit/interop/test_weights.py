"""A file whose tensors do not fit is refused, with their names, before a model is changed."""

import numpy as np
import pytest

from llm_keras.errors import UserError
from llm_keras.interop import names, weights
from llm_keras.interop.tensor import Tensor

TABLES = {"llama": names.LLAMA, "gpt2": names.GPT2, "bert": names.BERT, "mixtral": names.LLAMA}


def _tensors(values):
    return {name: Tensor(value.shape, lambda value=value: value) for name, value in values.items()}


@pytest.fixture
def values(build):
    """What the file of a case holds, by name."""

    def make(case):
        model = build(case)
        return {
            name: tensor.read() for name, tensor in weights.tensors_of(model, TABLES[case]).items()
        }

    return make


def _load(build, case, values):
    model = build(case)
    notes = weights.load(model, _tensors(values), TABLES[case], "a file")
    return model, notes


def test_missing_left_over_and_misshapen_tensors_are_named(build, values):
    """All in one line, each with what was expected and what was found."""
    changed = values("llama")
    del changed["model.norm.weight"]
    changed["model.layers.0.mlp.up_proj.weight"] = np.zeros((32, 64), np.float32)
    changed["model.layers.2.input_layernorm.weight"] = np.zeros(32, np.float32)
    with pytest.raises(UserError) as error:
        _load(build, "llama", changed)
    message = str(error.value)
    assert message.startswith("a file: ")
    assert "\n" not in message
    assert "model.norm.weight [32] is missing" in message
    assert "model.layers.0.mlp.up_proj.weight is [32, 64], expected [64, 32]" in message
    assert "model.layers.2.input_layernorm.weight [32] has no place in the model" in message


def test_only_a_handful_is_named(build):
    """A file of something else does not fill the screen."""
    with pytest.raises(UserError, match=r"is missing; and \d+ more$"):
        _load(build, "llama", {})


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(build, values, number):
    """With the tensor's name."""
    changed = values("llama")
    changed["model.norm.weight"] = np.full(32, number, np.float32)
    with pytest.raises(UserError, match=r"model\.norm\.weight holds NaN or infinity"):
        _load(build, "llama", changed)


@pytest.mark.parametrize(
    ("case", "others"),
    [
        ("gpt2", ["transformer.h.0.attn.bias", "h.1.attn.masked_bias", "lm_head.weight"]),
        ("llama", ["model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight"]),
        ("bert", ["bert.embeddings.position_ids", "cls.predictions.decoder.weight"]),
    ],
)
def test_masks_and_copies_are_ignored(build, values, case, others):
    """Older files hold them; none says anything about the model."""
    held = {name: np.zeros(3, np.float32) for name in others}
    _, notes = _load(build, case, values(case) | held)
    assert notes == (["not used: the pooler"] if case == "bert" else [])


@pytest.mark.parametrize("case", ["gpt2", "bert", "llama"])
def test_files_of_the_bare_model_lack_the_prefix(build, values, case):
    """`h.0...` is `transformer.h.0...`, `embeddings...` is `bert.embeddings...`."""
    prefix = TABLES[case].prefix
    bare = {name.removeprefix(prefix): value for name, value in values(case).items()}
    model, _ = _load(build, case, bare)
    expected = build(case)
    for ours, theirs in zip(expected.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_older_names_of_norms(build, values):
    """BERT's first files call a norm's gain and bias gamma and beta."""
    older = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in values("bert").items()
    }
    assert "bert.embeddings.LayerNorm.gamma" in older
    _load(build, "bert", older)


def test_a_missing_head_is_made_anew_and_told(build, values):
    """Encoders of sentences have none."""
    headless = {n: v for n, v in values("bert").items() if not n.startswith("cls.")}
    headless["cls.seq_relationship.bias"] = np.zeros(2, np.float32)
    _, notes = _load(build, "bert", headless)
    assert notes == [
        "not used: the next-sentence head",
        "not used: the pooler",
        "made anew, as the file lacks it: head",
    ]


def test_half_a_head_is_missing_the_other_half(build, values):
    """It is not made anew in part."""
    changed = values("bert")
    del changed["cls.predictions.bias"]
    with pytest.raises(UserError, match=r"cls\.predictions\.bias \[290\] is missing"):
        _load(build, "bert", changed)


def test_each_expert_has_its_name(build, values):
    """A missing one is named with its number."""
    changed = values("mixtral")
    name = "model.layers.1.block_sparse_moe.experts.2.w3.weight"
    assert changed[name].shape == (64, 32)
    del changed[name]
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        _load(build, "mixtral", changed)
