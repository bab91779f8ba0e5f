"""Hugging Face's model types as tables: which option of config.json is which of ours.

An option that is in none of a type's tables is refused by name when it is read: it might change
the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from llm_keras.interop import names


class Option(NamedTuple):
    """An option of theirs: ours, and what it is where the file does not say (None: required)."""

    ours: str
    default: Any = None


@dataclass(frozen=True)
class Layout:
    """One model type.

    Attributes:
        model_type, architecture: What config.json calls it, and the class with its head.
        table: Names of its weights.
        options: Theirs -> ours.
        implied: Our settings that the type itself means.
        activations: Theirs -> ours.
        activation: The option that names it, and its default.
        fixed: Options that may only have the value that we compute with.
        unused: More options that do not change the numbers; written as null, for programs that
            look for them.
        rotary: Whether it has the options of rotary positions.
    """

    model_type: str
    architecture: str
    table: names.Table
    options: dict[str, Option]
    implied: dict[str, Any]
    activations: dict[str, str]
    activation: Option
    fixed: dict[str, Any] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()
    rotary: bool = False


#: Options of any type that say nothing about a forward pass: of training, generation, other tasks,
#: programs and tokenizers.
UNUSED = frozenset(
    """
    _attn_implementation _commit_hash _name_or_path architectures attention_dropout
    attention_probs_dropout_prob attn_pdrop auto_map bad_words_ids begin_suppress_tokens
    bos_token_id chunk_size_feed_forward classifier_dropout decoder_start_token_id
    diversity_penalty do_sample dtype early_stopping embd_pdrop encoder_no_repeat_ngram_size
    eos_token_id exponential_decay_length_penalty finetuning_task forced_bos_token_id
    forced_eos_token_id gradient_checkpointing id2label is_encoder_decoder is_llama_config
    keys_to_ignore_at_inference label2id length_penalty max_length max_window_layers min_length
    mlp_dropout model_type n_ctx no_repeat_ngram_size num_beam_groups num_beams num_return_sequences
    output_attentions output_hidden_states output_scores pad_token_id prefix
    pretraining_tp problem_type remove_invalid_values reorder_and_upcast_attn repetition_penalty
    return_dict return_dict_in_generate router_aux_loss_coef router_jitter_noise
    sep_token_id summary_activation summary_first_dropout summary_proj_to_labels
    summary_type summary_use_proj suppress_tokens task_specific_params temperature
    tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torch_dtype torchscript
    transformers.js_config transformers_version typical_p use_bfloat16 use_cache
    """.split()  # noqa: SIM905
)
#: Options of any type with one value that is ours.
FIXED: dict[str, Any] = {
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "is_decoder": False,
    "pruned_heads": {},
    "quantization_config": None,
    "rope_interleaved": False,
}

PLAIN = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu",
}  # fmt: skip
GATED = {
    "silu": "swiglu", "swish": "swiglu", "gelu": "geglu", "gelu_new": "geglu_tanh",
    "gelu_pytorch_tanh": "geglu_tanh",
}  # fmt: skip

_LLAMA_OPTIONS = {
    "num_hidden_layers": Option("num_layers"),
    "hidden_size": Option("hidden_dim"),
    "intermediate_size": Option("intermediate_dim"),
    "num_attention_heads": Option("num_query_heads"),
    "num_key_value_heads": Option("num_key_value_heads", "as num_attention_heads"),
    "head_dim": Option("head_dim", "hidden_size / num_attention_heads"),
    "rms_norm_eps": Option("normalization_epsilon", 1e-6),
    "initializer_range": Option("initializer_range", 0.02),
    "tie_word_embeddings": Option("tie_embeddings", False),
}
LLAMA = Layout(
    model_type="llama",
    architecture="LlamaForCausalLM",
    table=names.LLAMA,
    options={
        **_LLAMA_OPTIONS,
        "mlp_bias": Option("use_bias", False),
        "attention_bias": Option("attention_bias", False),
    },
    implied={"kind": "causal_lm", "positions": "rotary", "normalization": "rms_norm"},
    activations=GATED,
    activation=Option("hidden_act", "silu"),
    rotary=True,
)
QWEN2 = replace(
    LLAMA,
    model_type="qwen2",
    architecture="Qwen2ForCausalLM",
    options=_LLAMA_OPTIONS,
    implied={**LLAMA.implied, "attention_bias": "query_key_value"},
    fixed={"use_sliding_window": False},
    unused=frozenset(["sliding_window"]),
)
QWEN3 = replace(
    LLAMA,
    model_type="qwen3",
    architecture="Qwen3ForCausalLM",
    options={
        **_LLAMA_OPTIONS,
        "head_dim": Option("head_dim", 128),
        "attention_bias": Option("attention_bias", False),
    },
    implied={**LLAMA.implied, "qk_norm": True},
    fixed={"use_sliding_window": False},
    unused=frozenset(["sliding_window"]),
)
MISTRAL = replace(
    LLAMA,
    model_type="mistral",
    architecture="MistralForCausalLM",
    options={**_LLAMA_OPTIONS, "sliding_window": Option("sliding_window", 4096)},
)
MIXTRAL = replace(
    LLAMA,
    model_type="mixtral",
    architecture="MixtralForCausalLM",
    options={
        **_LLAMA_OPTIONS,
        "rms_norm_eps": Option("normalization_epsilon", 1e-5),
        "sliding_window": Option("sliding_window", "none"),
        "num_local_experts": Option("experts.num_experts"),
        "num_experts_per_tok": Option("experts.experts_per_token"),
    },
    unused=frozenset(["output_router_logits"]),
)
GPT2 = Layout(
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    table=names.GPT2,
    options={
        "n_layer": Option("num_layers"),
        "n_embd": Option("hidden_dim"),
        "n_inner": Option("intermediate_dim", "4 n_embd"),
        "n_head": Option("num_query_heads"),
        "layer_norm_epsilon": Option("normalization_epsilon", 1e-5),
        "initializer_range": Option("initializer_range", 0.02),
        "resid_pdrop": Option("dropout", 0.1),
        "tie_word_embeddings": Option("tie_embeddings", True),
    },
    implied={
        "kind": "causal_lm",
        "positions": "learned",
        "normalization": "layer_norm",
        "use_bias": True,
    },
    activations=PLAIN,
    activation=Option("activation_function", "gelu_new"),
    fixed={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False},
)
BERT = Layout(
    model_type="bert",
    architecture="BertForMaskedLM",
    table=names.BERT,
    options={
        "num_hidden_layers": Option("num_layers"),
        "hidden_size": Option("hidden_dim"),
        "intermediate_size": Option("intermediate_dim"),
        "num_attention_heads": Option("num_query_heads"),
        "layer_norm_eps": Option("normalization_epsilon", 1e-12),
        "initializer_range": Option("initializer_range", 0.02),
        "hidden_dropout_prob": Option("dropout", 0.1),
        "type_vocab_size": Option("num_token_types", 2),
    },
    implied={
        "kind": "masked_lm",
        "positions": "learned",
        "normalization": "layer_norm",
        "norm_placement": "post",
        "embedding_norm": True,
        "use_bias": True,
    },
    # The head of a masked_lm has this one too.
    activations={"gelu": "gelu"},
    activation=Option("hidden_act", "gelu"),
    fixed={"position_embedding_type": "absolute", "tie_word_embeddings": True},
)

LAYOUTS = {
    layout.model_type: layout for layout in (GPT2, LLAMA, QWEN2, QWEN3, MISTRAL, MIXTRAL, BERT)
}
#: What each type calls its vocabulary and its longest row.
VOCABULARY = "vocab_size"
LENGTHS = {"gpt2": "n_positions"}
LENGTH = "max_position_embeddings"
