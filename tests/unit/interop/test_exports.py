"""What is exported comes back as it was, or is refused with the setting's name."""

import json

import gguf as oracle
import numpy as np
import pytest
from safetensors.numpy import load_file

from llm_keras import config, interop, models, tokenizers
from llm_keras.config import presets
from llm_keras.errors import UserError

TOKENS = np.random.default_rng(4).integers(0, 290, [2, 12]).astype("int32")
TEXT = "In 1862, the Union - <s> naïve\n\n two  spaces"


def _imported(path):
    source = interop.open_source(path)
    return source, interop.load_weights(source, interop.settings_of(source))


@pytest.mark.parametrize("shard_bytes", [10**9, 20_000])
def test_a_folder_comes_back_bit_for_bit(model, tokenizer, tmp_path, shard_bytes):
    """Settings, every weight, the tokenizer; whole and in shards."""
    folder = interop.export_folder(
        model, tokenizer, tmp_path / "out", config.Generation(), shard_bytes
    )
    source, back = _imported(folder)
    assert source.description.vocabulary_size == model.vocabulary_size
    assert source.description.sequence_length == model.sequence_length
    assert source.tokenizer == tokenizer.model
    for ours, theirs in zip(model.weights, back.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(model({"tokens": TOKENS}), back({"tokens": TOKENS}))
    assert (folder / "model.safetensors.index.json").exists() == (shard_bytes < 10**9)


def test_the_safetensors_package_reads_the_file(build, tokenizer, tmp_path):
    """Names and shapes of Hugging Face's GPT-2, whose query, key and value are one matrix."""
    model = build("gpt2")
    folder = interop.export_folder(model, tokenizer, tmp_path / "out", config.Generation())
    tensors = load_file(folder / "model.safetensors")
    fused = tensors["transformer.h.1.attn.c_attn.weight"]
    assert fused.shape == (32, 96)
    attention = model.blocks[1].attention
    np.testing.assert_array_equal(fused[:, 32:64], attention.key.kernel)
    assert tensors["transformer.wpe.weight"].shape == (16, 32)
    assert "lm_head.weight" not in tensors


def test_the_files_beside_the_weights(build, tokenizer, tmp_path):
    """Ids of special tokens, and how to generate."""
    generation = config.Generation(temperature=0.5, top_k=7, max_new_tokens=9)
    folder = interop.export_folder(build("llama"), tokenizer, tmp_path / "out", generation)
    written = json.loads((folder / "generation_config.json").read_text())
    assert written.items() >= {
        "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "do_sample": True,
        "temperature": 0.5, "top_k": 7, "max_new_tokens": 9,
    }.items()  # fmt: skip
    names = json.loads((folder / "tokenizer_config.json").read_text())
    assert (names["bos_token"], names["eos_token"], names["tokenizer_class"]) == (
        "<s>", "</s>", "LlamaTokenizer",
    )  # fmt: skip
    assert (folder / "tokenizer.model").read_bytes() == tokenizer.model


def test_an_export_takes_the_place_of_an_older_one(build, tokenizer, tmp_path):
    """Nothing of the older one is left beside it, and nothing half written."""
    small = config.Generation()
    folder = interop.export_folder(build("llama"), tokenizer, tmp_path / "out", small, 20_000)
    interop.export_folder(build("llama"), tokenizer, tmp_path / "out", small)
    assert not list(folder.glob("*index*"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "alibi"}, "model.positions: alibi has no form in the layout of llama"),
        ({"activation": "relu"}, "model.activation: relu has no form in the layout of llama"),
        ({"norm_placement": "post"}, "model.norm_placement: post has no form"),
        ({"output_logit_cap": 30.0}, "model.output_logit_cap: 30.0 has no form"),
        ({"scale_embeddings": True}, "model.scale_embeddings: True has no form"),
        ({"rope_pairing": "neighbours"}, "model.rope_pairing: neighbours has no form"),
        ({"mup_base_dim": 8}, "model.attention_scale: .* has no form"),
        ({"sliding_window": 4, "qk_norm": True}, "model.qk_norm: True has no form .* mistral"),
        ({"positions": "learned"}, "model.activation: swiglu has no form in the layout of gpt2"),
        ({"kind": "masked_lm"}, "model.activation: swiglu has no form in the layout of bert"),
        ({"kind": "encoder_decoder"}, "model.kind: encoder_decoder has no form"),
    ],
)
def test_what_has_no_form_is_refused_by_name(changes, message, tokenizer, tmp_path):
    """And nothing is left in the folder."""
    shape = {"num_layers": 1, "hidden_dim": 32, "intermediate_dim": 64, "num_query_heads": 4}
    settings = config.Model(**{**shape, **changes})
    model = models.build_model(settings, vocabulary_size=290, sequence_length=16)
    with pytest.raises(UserError, match=message):
        interop.export_folder(model, tokenizer, tmp_path / "out", config.Generation())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["llama", "llama-untied", "llama-long", "mixtral"])
def test_gguf_read_by_its_own_package(build, tokenizer, tmp_path, case):
    """Tensors equal to float16 rounding, metadata of the model and its tokenizer."""
    model = build(case)
    path = interop.export_gguf(model, tokenizer, tmp_path / "model.gguf", "a name")
    reader = oracle.GGUFReader(path)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    assert facts.items() >= {
        "general.architecture": "llama", "general.name": "a name", "general.file_type": 1,
        "llama.block_count": 2, "llama.embedding_length": 32, "llama.feed_forward_length": 64,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.context_length": 16, "llama.vocab_size": 290, "llama.rope.dimension_count": 8,
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 3, "tokenizer.ggml.add_space_prefix": False,
    }.items()  # fmt: skip
    assert len(facts["tokenizer.ggml.tokens"]) == 290
    tensors = {t.name: oracle.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    value = model.blocks[1].attention.value.kernel.numpy()
    np.testing.assert_array_equal(tensors["blk.1.attn_v.weight"], value.T.astype("float16"))
    np.testing.assert_array_equal(tensors["output_norm.weight"], model.final_norm.scale)
    # As llama.cpp's converter reorders rows of queries: pairs become neighbours.
    query = model.blocks[0].attention.query.kernel.numpy().T
    permuted = query.reshape(4, 2, 4, 32).swapaxes(1, 2).reshape(32, 32)
    np.testing.assert_array_equal(tensors["blk.0.attn_q.weight"], permuted.astype("float16"))
    assert len(tensors) == len(model.weights)


def test_gguf_comes_back(build, tokenizer, tmp_path):
    """Weights to float16 rounding, and the tokenizer's ids and texts."""
    model = build("llama")
    source, back = _imported(
        interop.export_gguf(model, tokenizer, tmp_path / "model.gguf", "a name")
    )
    for ours, theirs in zip(model.weights, back.weights, strict=True):
        half = ours.numpy() if len(ours.shape) < 2 else ours.numpy().astype("float16")
        np.testing.assert_array_equal(half, theirs)
    read = tokenizers.load(source.tokenizer)
    assert read.encode(TEXT) == tokenizer.encode(TEXT)
    assert read.decode(read.encode(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("gpt2", "model.positions: learned has no form in the layout of GGUF's llama"),
        ("bert", "model.kind: masked_lm has no form"),
        ("llama-3.1", "model.rope_scaling: .* has no form"),
        ("qwen3", "model.qk_norm: True has no form"),
        ("mistral", "model.sliding_window: 5 has no form"),
    ],
)
def test_what_gguf_has_no_form_for_is_refused(build, tokenizer, tmp_path, case, message):
    """By the setting's name."""
    with pytest.raises(UserError, match=message):
        interop.export_gguf(build(case), tokenizer, tmp_path / "model.gguf", "a name")
    assert list(tmp_path.iterdir()) == []


def test_a_weight_beyond_float16_is_refused(build, tokenizer, tmp_path):
    """It would be read back as infinity."""
    model = build("llama")
    model.embedding.embeddings.assign(model.embedding.embeddings + 70_000.0)
    with pytest.raises(UserError, match=r"token_embd\.weight: a value beyond 65504 is none"):
        interop.export_gguf(model, tokenizer, tmp_path / "model.gguf", "a name")
    assert list(tmp_path.iterdir()) == []


def test_presets_have_their_layouts():
    """Each published shape is written with its publisher's model type."""
    from llm_keras.interop import hugging_face
    from llm_keras.interop.description import Description

    for name, model_type in (
        ("gpt2_124m", "gpt2"), ("bert_base", "bert"), ("llama3_2_1b", "llama"),
        ("smollm2_135m", "llama"), ("mixtral_small", "mixtral"),
    ):  # fmt: skip
        described = Description(presets.model(name), *presets.PUBLISHED[name])
        layout, options = hugging_face.write(described)
        assert layout.model_type == model_type
        assert hugging_face.read(options, "config.json")[1:] == presets.PUBLISHED[name]
