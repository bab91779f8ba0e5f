"""Parameter counts against figures that others published, for every part a model can have."""

from __future__ import annotations

from typing import Any

import pytest

from llm_keras import config
from llm_keras.accounting.flops import flops_per_token
from llm_keras.accounting.parameters import active_counts, lora_parameters, parameter_counts
from llm_keras.config import presets
from llm_keras.planning.memory import training_bytes

#: What Hugging Face's `num_parameters()` says of the published weights of each preset.
OF_PRESETS = {
    "gpt2_124m": 124_439_808,
    "gpt2_355m": 354_823_168,
    "bert_base": 109_514_298,
    "llama3_2_1b": 1_235_814_400,
    "smollm2_135m": 134_515_008,
    "t5_small": 60_506_624,
}
LLAMA_2_7B: dict[str, Any] = {
    "num_layers": 32, "hidden_dim": 4096, "intermediate_dim": 11_008, "num_query_heads": 32,
    "tie_embeddings": False,
}  # fmt: skip
QWEN_2_HALF_B: dict[str, Any] = {
    "num_layers": 24, "hidden_dim": 896, "intermediate_dim": 4864, "num_query_heads": 14,
    "num_key_value_heads": 2, "attention_bias": "query_key_value",
}  # fmt: skip
QWEN_3_HALF_B: dict[str, Any] = {
    "num_layers": 28, "hidden_dim": 1024, "intermediate_dim": 3072, "num_query_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "qk_norm": True,
}  # fmt: skip
T5_V1_1_SMALL: dict[str, Any] = {
    "kind": "encoder_decoder", "num_layers": 8, "hidden_dim": 512, "intermediate_dim": 1024,
    "num_query_heads": 6, "head_dim": 64, "positions": "relative", "activation": "geglu_tanh",
    "tie_embeddings": False,
}  # fmt: skip
MIXTRAL_8X7B: dict[str, Any] = {
    "num_layers": 32, "hidden_dim": 4096, "intermediate_dim": 14_336, "num_query_heads": 32,
    "num_key_value_heads": 8, "tie_embeddings": False,
    "experts": {"num_experts": 8, "experts_per_token": 2},
}  # fmt: skip
#: Shape, vocabulary, context, parameters of the weights as Hugging Face's index files sum them.
OTHERS = {
    "Llama 2 7B": (LLAMA_2_7B, 32_000, 4096, 6_738_415_616),
    "Qwen 2 0.5B": (QWEN_2_HALF_B, 151_936, 32_768, 494_032_768),
    "Qwen 3 0.6B": (QWEN_3_HALF_B, 151_936, 32_768, 596_049_920),
    "T5 1.1 small": (T5_V1_1_SMALL, 32_128, 512, 76_961_152),
    "Mixtral 8x7B": (MIXTRAL_8X7B, 32_000, 32_768, 46_702_792_704),
}


def of_preset(name: str) -> dict[str, int]:
    return parameter_counts(presets.model(name), *presets.PUBLISHED[name])


@pytest.mark.parametrize("name", OF_PRESETS)
def test_presets_have_the_published_size(name: str) -> None:
    """To the last weight, at the published vocabulary and length."""
    assert sum(of_preset(name).values()) == OF_PRESETS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_shapes_of_other_published_models(name: str) -> None:
    """Untied output, biases of three projections, norms of heads, gates in pairs, experts."""
    shape, vocabulary_size, length, published = OTHERS[name]
    counts = parameter_counts(config.Model(**shape), vocabulary_size, length)
    assert sum(counts.values()) == published


def test_bert_without_its_head() -> None:
    """108,891,648: Hugging Face's `BertModel` without its pooler (590,592 of 109,482,240)."""
    counts = of_preset("bert_base")
    assert sum(counts.values()) - counts["head"] == 109_482_240 - 590_592


@pytest.mark.parametrize(
    ("name", "millions", "within", "width", "wide", "exact"),
    [
        ("transformer_base", 65, 0.031, 512, 2048, 63_045_632),
        ("transformer_big", 213, 0.006, 1024, 4096, 214_171_648),
    ],
)
def test_vaswani(
    name: str, millions: int, within: float, width: int, wide: int, exact: int
) -> None:
    """Table 3 rounds to 65 and 213 million; the exact sum of the parts that section 3 describes.

    Three-way shared embeddings of 37,000 tokens, attention without biases, feed-forward with both,
    a gain and a bias for each of 5 norms in a layer of each stack.
    """
    attention, feed_forward, norm = 4 * width**2, 2 * width * wide + width + wide, 2 * width
    encoder = 6 * (attention + feed_forward + 2 * norm)
    decoder = 6 * (2 * attention + feed_forward + 3 * norm)
    counted = sum(of_preset(name).values())
    assert counted == 37_000 * width + encoder + decoder == exact
    assert counted == pytest.approx(millions * 1e6, rel=within)


def test_mixtral_small_by_its_formula() -> None:
    """8 layers: queries and outputs of 8 heads of 64, keys and values of 2, 8 experts, 2 norms."""
    attention = 2 * 512 * 512 + 2 * 512 * 128
    experts = 8 * 3 * 512 * 1792
    layer = attention + experts + 512 * 8 + 2 * 512
    assert sum(of_preset("mixtral_small").values()) == 8 * layer + 512 + 2 * 32_000 * 512


def test_active_parameters_of_mixtral() -> None:
    """Jiang et al. 2024, section 2.1: a token uses 13 billion (12.9, says the announcement)."""
    active = sum(active_counts(config.Model(**MIXTRAL_8X7B), 32_000, 32_768).values())
    assert active == pytest.approx(12.9e9, rel=0.002)


def test_flops_of_published_models() -> None:
    """PaLM's formula (appendix B) by hand for GPT-2; a token of T5 is one of each side."""
    gpt2 = presets.model("gpt2_124m")
    matrices = 124_439_808 - 1024 * 768
    assert flops_per_token(gpt2, 50_257, 1024) == 6 * matrices + 12 * 12 * 768 * 1024
    t5 = presets.model("t5_small")
    matrices = 60_506_624 - 2 * 32 * 8
    assert flops_per_token(t5, 32_128, 512) == 6 * matrices + 12 * 18 * 512 * 512


def test_sliding_window_saves_operations() -> None:
    """Of a row of 16,384 tokens, Mixtral's window lets a query see 4,096."""
    wide = presets.model("mixtral_small", sliding_window=None)
    windowed = presets.model("mixtral_small")
    saved = flops_per_token(wide, 32_000, 16_384) - flops_per_token(windowed, 32_000, 16_384)
    assert saved == 12 * 8 * 512 * (16_384 - 4096)


def test_lora_of_the_paper() -> None:
    """Hu et al. 2022, table 2: 0.3 million for RoBERTa base, rank 8, queries and values."""
    lora = config.Lora(rank=8, targets=("query", "value"))
    assert lora_parameters(presets.model("bert_base"), lora) == 12 * 2 * 8 * (768 + 768) == 294_912


def test_memory_of_the_optimizers(make_run) -> None:
    """Lion half of AdamW's slots, Muon less than AdamW, Adafactor almost nothing; a mean adds."""
    slots = {
        kind: training_bytes(make_run(training={"optimizer": {"kind": kind}}))["slots"]
        for kind in ("adamw", "lion", "muon", "adafactor")
    }
    assert slots["adamw"] == 2 * slots["lion"]
    assert slots["lion"] < slots["muon"] < slots["adamw"]
    assert slots["adafactor"] < slots["adamw"] / 8
    averaged = training_bytes(make_run(training={"ema_decay": 0.99}))
    assert averaged["slots"] == 1.5 * slots["adamw"]


def test_memory_of_lora(make_run) -> None:
    """Gradients and slots of the additions only; the weights stay, and have them on top."""
    whole = training_bytes(make_run())
    lora = {"rank": 2, "targets": ["query", "down"]}
    added = training_bytes(make_run(training={"lora": lora}))
    numbers = 2 * (2 * (16 + 16) + 2 * (24 + 16))
    assert added["gradients"] == 4 * numbers
    assert added["slots"] == 2 * added["gradients"]
    assert added["weights"] == whole["weights"] + 4 * numbers


def test_memory_of_the_other_kinds(make_run) -> None:
    """Two stacks keep more than one; cross-attention counts; experts keep k wide layers a token."""
    one = training_bytes(make_run())["activations"]
    source = {"name": "pairs", "kind": "jsonl", "path": "pairs", "target_field": "answer"}
    run = make_run({"kind": "encoder_decoder"}, corpus={"sources": [source]})
    pairs = training_bytes(run)["activations"]
    assert 2 * one < pairs < 3 * one
    experts = {"num_experts": 4, "experts_per_token": 2}
    mixed = training_bytes(make_run({"experts": experts}))["activations"]
    assert mixed - one == 8 * 32 * 2 * 4 * 24 * 4  # rows, tokens, layers, gate and up twice, floats
