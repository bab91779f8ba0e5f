"""What our weights are called in other programs' files, as tables.

A row holds our path, theirs, and the form (`forms.FORMS`) that theirs has. `{i}` is a block's
number, `{e}` an expert's. A table lists every weight that a model of its layout may have: those
that a model has, by its settings, must be in the file, and the file must have no others, save what
the table calls ignored or unused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Row(NamedTuple):
    """One weight, or one a block."""

    ours: str
    theirs: str
    form: str = "same"


@dataclass(frozen=True)
class Table:
    """The names of a layout.

    Attributes:
        rows: See the module.
        prefix: Of their names, which files of the bare model lack.
        aliases: Endings of older files, and what they are called now.
        ignored: Patterns of names that hold no weights, or copies.
        unused: Patterns of weights that our models have no place for, and what they are.
        optional: Beginnings of our paths that are made anew where the file lacks them.
        zeros: Weights that other programs want and ours lack, and their axes of hidden_dim.
    """

    rows: tuple[Row, ...]
    prefix: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    optional: tuple[str, ...] = ()
    zeros: tuple[tuple[str, int], ...] = ()


def _each(ours: str, theirs: str, form: str, bias_form: str = "same") -> tuple[Row, Row]:
    """A projection's kernel and bias."""
    return (
        Row(f"{ours}/kernel", f"{theirs}.weight", form),
        Row(f"{ours}/bias", f"{theirs}.bias", bias_form),
    )


def _layer_norm(ours: str, theirs: str) -> tuple[Row, Row]:
    return Row(f"{ours}/gamma", f"{theirs}.weight"), Row(f"{ours}/beta", f"{theirs}.bias")


def _thirds(name: str, form: str) -> tuple[Row, Row]:
    """Part of the fused projection, whose kernel and bias are cut alike."""
    return _each(f"block_{{i}}/attention/{name}", "transformer.h.{i}.attn.c_attn", form, form)


#: GPT-2. Its `Conv1D` kernels are [in, out], as ours.
GPT2 = Table(
    rows=(
        Row("embedding/embeddings", "transformer.wte.weight"),
        Row("positions/embeddings", "transformer.wpe.weight"),
        *_layer_norm("block_{i}/attention_norm", "transformer.h.{i}.ln_1"),
        *_thirds("query", "first_third"),
        *_thirds("key", "second_third"),
        *_thirds("value", "last_third"),
        *_each("block_{i}/attention/output", "transformer.h.{i}.attn.c_proj", "same"),
        *_layer_norm("block_{i}/feed_forward_norm", "transformer.h.{i}.ln_2"),
        *_each("block_{i}/feed_forward/up", "transformer.h.{i}.mlp.c_fc", "same"),
        *_each("block_{i}/feed_forward/down", "transformer.h.{i}.mlp.c_proj", "same"),
        *_layer_norm("final_norm", "transformer.ln_f"),
        Row("output_projection/kernel", "lm_head.weight", "transposed"),
    ),
    prefix="transformer.",
    ignored=(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias", r"lm_head\.weight"),
)

#: Llama and its kin: Qwen 2 (biases), Qwen 3 (norms of queries and keys), Mistral, Mixtral.
LLAMA = Table(
    rows=(
        Row("embedding/embeddings", "model.embed_tokens.weight"),
        Row("block_{i}/attention_norm/scale", "model.layers.{i}.input_layernorm.weight"),
        *_each("block_{i}/attention/query", "model.layers.{i}.self_attn.q_proj", "transposed"),
        *_each("block_{i}/attention/key", "model.layers.{i}.self_attn.k_proj", "transposed"),
        *_each("block_{i}/attention/value", "model.layers.{i}.self_attn.v_proj", "transposed"),
        *_each("block_{i}/attention/output", "model.layers.{i}.self_attn.o_proj", "transposed"),
        Row("block_{i}/attention/query_norm/scale", "model.layers.{i}.self_attn.q_norm.weight"),
        Row("block_{i}/attention/key_norm/scale", "model.layers.{i}.self_attn.k_norm.weight"),
        Row(
            "block_{i}/feed_forward_norm/scale", "model.layers.{i}.post_attention_layernorm.weight"
        ),
        *_each("block_{i}/feed_forward/gate", "model.layers.{i}.mlp.gate_proj", "transposed"),
        *_each("block_{i}/feed_forward/up", "model.layers.{i}.mlp.up_proj", "transposed"),
        *_each("block_{i}/feed_forward/down", "model.layers.{i}.mlp.down_proj", "transposed"),
        Row(
            "block_{i}/feed_forward/router/kernel",
            "model.layers.{i}.block_sparse_moe.gate.weight",
            "transposed",
        ),
        *(
            Row(
                f"block_{{i}}/feed_forward/{ours}",
                f"model.layers.{{i}}.block_sparse_moe.experts.{{e}}.{theirs}.weight",
                "experts",
            )
            for ours, theirs in (("gate", "w1"), ("down", "w2"), ("up", "w3"))
        ),
        Row("final_norm/scale", "model.norm.weight"),
        Row("output_projection/kernel", "lm_head.weight", "transposed"),
    ),
    prefix="model.",
    ignored=(r".*\.rotary_emb\.inv_freq", r"lm_head\.weight"),
)

_BERT_LAYER = "bert.encoder.layer.{i}"
#: BERT, and the encoders of sentence-transformers, which have no head.
BERT = Table(
    rows=(
        Row("embedding/embeddings", "bert.embeddings.word_embeddings.weight"),
        Row("positions/embeddings", "bert.embeddings.position_embeddings.weight"),
        Row("token_types/embeddings", "bert.embeddings.token_type_embeddings.weight"),
        *_layer_norm("embedding_norm", "bert.embeddings.LayerNorm"),
        *(
            row
            for name in ("query", "key", "value")
            for row in _each(
                f"block_{{i}}/attention/{name}",
                f"{_BERT_LAYER}.attention.self.{name}",
                "transposed",
            )
        ),
        *_each("block_{i}/attention/output", f"{_BERT_LAYER}.attention.output.dense", "transposed"),
        *_layer_norm("block_{i}/attention_norm", f"{_BERT_LAYER}.attention.output.LayerNorm"),
        *_each("block_{i}/feed_forward/up", f"{_BERT_LAYER}.intermediate.dense", "transposed"),
        *_each("block_{i}/feed_forward/down", f"{_BERT_LAYER}.output.dense", "transposed"),
        *_layer_norm("block_{i}/feed_forward_norm", f"{_BERT_LAYER}.output.LayerNorm"),
        *_each("head/transform", "cls.predictions.transform.dense", "transposed"),
        *_layer_norm("head/norm", "cls.predictions.transform.LayerNorm"),
        Row("head/output_bias", "cls.predictions.bias"),
    ),
    prefix="bert.",
    aliases=((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias")),
    ignored=(r"(bert\.)?embeddings\.position_ids", r"cls\.predictions\.decoder\.(weight|bias)"),
    unused=(
        (r"(bert\.)?pooler\..*", "the pooler"),
        (r"cls\.seq_relationship\..*", "the next-sentence head"),
    ),
    optional=("head/",),
    # KerasHub's BERT does not load without one.
    zeros=(("bert.pooler.dense.weight", 2), ("bert.pooler.dense.bias", 1)),
)

#: llama.cpp's names of Llama, in GGUF files.
GGUF_LLAMA = Table(
    rows=(
        Row("embedding/embeddings", "token_embd.weight"),
        Row("block_{i}/attention_norm/scale", "blk.{i}.attn_norm.weight"),
        *_each("block_{i}/attention/query", "blk.{i}.attn_q", *(["transposed_neighbours"] * 2)),
        *_each("block_{i}/attention/key", "blk.{i}.attn_k", *(["transposed_neighbours"] * 2)),
        *_each("block_{i}/attention/value", "blk.{i}.attn_v", "transposed"),
        *_each("block_{i}/attention/output", "blk.{i}.attn_output", "transposed"),
        Row("block_{i}/feed_forward_norm/scale", "blk.{i}.ffn_norm.weight"),
        *_each("block_{i}/feed_forward/gate", "blk.{i}.ffn_gate", "transposed"),
        *_each("block_{i}/feed_forward/up", "blk.{i}.ffn_up", "transposed"),
        *_each("block_{i}/feed_forward/down", "blk.{i}.ffn_down", "transposed"),
        Row("block_{i}/feed_forward/router/kernel", "blk.{i}.ffn_gate_inp.weight", "transposed"),
        Row("block_{i}/feed_forward/gate", "blk.{i}.ffn_gate_exps.weight", "transposed"),
        Row("block_{i}/feed_forward/up", "blk.{i}.ffn_up_exps.weight", "transposed"),
        Row("block_{i}/feed_forward/down", "blk.{i}.ffn_down_exps.weight", "transposed"),
        Row("final_norm/scale", "output_norm.weight"),
        Row("output_projection/kernel", "output.weight", "transposed"),
    ),
)


def _garden_block(ours: str, theirs: str, names: dict[str, str]) -> tuple[Row, ...]:
    """The rows of an encoder's or a decoder's block; `names` are those of its parts there."""
    rows: list[Row] = []
    for our_part, their_part in names.items():
        here, there = f"{ours}/{our_part}", f"{theirs}/{their_part}"
        if our_part.endswith("norm"):
            rows += [Row(f"{here}/{name}", f"{there}/{name}") for name in ("gamma", "beta")]
        elif our_part.endswith("attention"):
            for name in ("query", "key", "value"):
                rows.append(
                    Row(f"{here}/{name}/kernel", f"{there}/_{name}_dense/kernel", "heads_out")
                )
                rows.append(Row(f"{here}/{name}/bias", f"{there}/_{name}_dense/bias", "heads_out"))
            rows.append(Row(f"{here}/output/kernel", f"{there}/_output_dense/kernel", "heads_in"))
            rows.append(Row(f"{here}/output/bias", f"{there}/_output_dense/bias"))
        else:
            rows += [Row(f"{here}/{name}", f"{there}/{name}") for name in ("kernel", "bias")]
    return tuple(rows)


#: TF Model Garden's Seq2SeqTransformer, as paths in its object graph.
GARDEN = Table(
    rows=(
        Row("embedding/embeddings", "embedding_lookup/embeddings"),
        *_garden_block(
            "encoder_block_{i}",
            "encoder_layer/encoder_layers/{i}",
            {
                "attention_norm": "_attention_layer_norm",
                "attention": "_attention_layer",
                "feed_forward_norm": "_output_layer_norm",
                "feed_forward/up": "_intermediate_dense",
                "feed_forward/down": "_output_dense",
            },
        ),
        *_garden_block(
            "decoder_block_{i}",
            "decoder_layer/decoder_layers/{i}",
            {
                "attention_norm": "self_attention_layer_norm",
                "attention": "self_attention",
                "cross_attention_norm": "encdec_attention_layer_norm",
                "cross_attention": "encdec_attention",
                "feed_forward_norm": "output_layer_norm",
                "feed_forward/up": "intermediate_dense",
                "feed_forward/down": "output_dense",
            },
        ),
        *(
            Row(f"{side}_norm/{name}", f"{side}_layer/output_normalization/{name}")
            for side in ("encoder", "decoder")
            for name in ("gamma", "beta")
        ),
    ),
)
