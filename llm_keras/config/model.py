"""The section `model` of a run file: the shape of the transformer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from llm_keras.config.base import Config, NonNegativeFloat, PositiveFloat, PositiveInt, Rate

#: Ways of making a block's width from its input twice, and of multiplying the two.
GATED_ACTIVATIONS = ("swiglu", "geglu", "geglu_tanh")


class RopeScaling(Config):
    """Rotary angles for contexts longer than those that the weights were trained on."""

    kind: Literal["linear", "llama3"] = Field(
        description="linear: all angles divided by factor (Chen et al. 2023); llama3: only those"
        " of long wavelengths (Llama 3.1)."
    )
    factor: PositiveFloat = 8.0
    low_frequency_factor: PositiveFloat = Field(
        1.0, description="llama3: wavelengths above original length / this are divided by factor."
    )
    high_frequency_factor: PositiveFloat = Field(
        4.0, description="llama3: wavelengths below original length / this stay."
    )
    original_sequence_length: PositiveInt = Field(
        8192, description="llama3: the context that the weights were trained on."
    )

    @model_validator(mode="after")
    def _band_is_one(self) -> RopeScaling:
        if self.kind == "llama3" and self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError(
                f"high_frequency_factor {self.high_frequency_factor} must exceed"
                f" low_frequency_factor {self.low_frequency_factor}; change one of them"
            )
        return self


class Experts(Config):
    """Mixture of experts in place of every feed-forward layer (Shazeer et al. 2017)."""

    num_experts: Annotated[int, Field(gt=1)]
    experts_per_token: PositiveInt = Field(2, description="k: experts that see a token.")
    capacity_factor: PositiveFloat | None = Field(
        1.25,
        description="Most tokens of a row an expert takes in training, as a multiple of an even"
        " share; the others pass by on the residual. null: no limit. Never limits inference.",
    )
    load_balance_loss: NonNegativeFloat = Field(
        0.01, description="Weight of the loss that spreads tokens evenly (Fedus et al. 2022, 2.2)."
    )
    router_z_loss: NonNegativeFloat = Field(
        0.001, description="Weight of the loss on large router logits (Zoph et al. 2022, 2.2)."
    )

    @model_validator(mode="after")
    def _enough_experts(self) -> Experts:
        if self.experts_per_token > self.num_experts:
            raise ValueError(
                f"experts_per_token {self.experts_per_token} exceeds num_experts"
                f" {self.num_experts}; lower it"
            )
        return self


class Model(Config):
    """The shape of the transformer."""

    kind: Literal["causal_lm", "encoder_decoder", "masked_lm"] = Field(
        "causal_lm",
        description="causal_lm: decoder-only, continues text; encoder_decoder: text to text, such"
        " as translation; masked_lm: encoder-only, vectors of texts.",
    )
    num_layers: PositiveInt = Field(description="Blocks; of the decoder, where there are two.")
    num_encoder_layers: PositiveInt | None = Field(
        None, description="encoder_decoder: blocks of the encoder; null: as many."
    )
    hidden_dim: PositiveInt
    intermediate_dim: PositiveInt = Field(description="Width of the feed-forward layer.")
    num_query_heads: PositiveInt
    num_key_value_heads: PositiveInt | None = Field(
        None, description="Fewer than the query heads: grouped-query attention; null: as many."
    )
    head_dim: PositiveInt | None = Field(None, description="null: hidden_dim / num_query_heads.")
    positions: Literal["rotary", "learned", "sinusoidal", "alibi", "relative", "none"] = Field(
        "rotary",
        description="rotary turns queries and keys; learned and sinusoidal are added to the"
        " embeddings; alibi (linear) and relative (learned buckets, T5) are added to the scores.",
    )
    sinusoidal_pairing: Literal["neighbours", "halves"] = Field(
        "neighbours",
        description="neighbours: sines at even places, as the paper; halves: all sines, then all"
        " cosines, as Tensor2Tensor and TF Model Garden.",
    )
    rope_max_wavelength: PositiveFloat = 10_000.0
    rope_pairing: Literal["halves", "neighbours"] = Field(
        "halves", description="Which features turn together; see layers.RotaryPositions."
    )
    rope_scaling: RopeScaling | None = None
    activation: Literal["swiglu", "geglu", "geglu_tanh", "gelu", "gelu_tanh", "relu"] = "swiglu"
    experts: Experts | None = Field(None, description="null: one feed-forward layer a block.")
    normalization: Literal["rms_norm", "layer_norm"] = "rms_norm"
    normalization_epsilon: PositiveFloat = 1e-5
    norm_placement: Literal["pre", "post"] = "pre"
    final_norm: bool | None = Field(
        None, description="Normalizes what the last block gives; null: where blocks are pre-norm."
    )
    embedding_norm: bool = Field(False, description="Normalizes the embedding sum (BERT).")
    use_bias: bool = Field(False, description="Biases in attention and feed-forward projections.")
    attention_bias: Literal["all", "query_key_value", "none"] | None = Field(
        None,
        description="Which of attention's projections have biases, where it differs from use_bias:"
        " query_key_value as Qwen 2, none as Vaswani et al. 2017.",
    )
    qk_norm: bool = Field(False, description="RMS norm of each head's queries and keys.")
    attention_scale: PositiveFloat | None = Field(
        None, description="Factor of the scores; null: 1 / sqrt(head_dim)."
    )
    attention_logit_cap: PositiveFloat | None = Field(
        None, description="c: scores become c tanh(score / c) (Gemma 2)."
    )
    output_logit_cap: PositiveFloat | None = Field(
        None, description="The same for the output's logits."
    )
    sliding_window: PositiveInt | None = Field(
        None, description="Tokens that a position sees, itself included; null: all before it."
    )
    share_embeddings: bool = Field(
        True, description="encoder_decoder: encoder and decoder have one token embedding."
    )
    tie_embeddings: bool = Field(True, description="The output projection is the token embedding.")
    scale_embeddings: bool | None = Field(
        None, description="Token vectors times sqrt(hidden_dim); null: with sinusoidal positions."
    )
    num_token_types: Annotated[int, Field(ge=0)] = Field(
        0, description="masked_lm: learned vectors for parts of an input (2 in BERT)."
    )
    dropout: Rate = 0.0
    initialization: Literal["normal", "glorot_uniform"] = Field(
        "normal",
        description="normal: deviation initializer_range, divided by sqrt(2 num_layers) where a"
        " product joins the residual stream; glorot_uniform: as Vaswani's published code.",
    )
    initializer_range: PositiveFloat = Field(0.02, description="Standard deviation of the weights.")
    mup_base_dim: PositiveInt | None = Field(
        None,
        description="muP: the hidden_dim at which learning rate and initializer_range were tuned;"
        " other widths keep them (Yang et al. 2022). null: standard parametrization.",
    )
    attention_block_length: PositiveInt | None = Field(
        None,
        description="Queries attended at once, so that scores of a whole row are never kept; must"
        " divide records.sequence_length. null: chosen by the row's length.",
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> Model:
        if self.head_dim is None and self.hidden_dim % self.num_query_heads:
            raise ValueError(
                f"hidden_dim {self.hidden_dim} is not a multiple of num_query_heads"
                f" {self.num_query_heads}; change one of them or set head_dim"
            )
        if self.num_query_heads % self.key_value_heads:
            raise ValueError(
                f"num_query_heads {self.num_query_heads} is not a multiple of"
                f" num_key_value_heads {self.key_value_heads}; change one of them"
            )
        return self

    @model_validator(mode="after")
    def _positions_fit(self) -> Model:
        if self.positions == "rotary" and self.head_size % 2:
            raise ValueError(
                f"rotary positions turn pairs, but head_dim is {self.head_size}; make it even"
            )
        if self.positions == "sinusoidal" and self.hidden_dim % 2:
            raise ValueError(f"sinusoidal positions need an even hidden_dim, not {self.hidden_dim}")
        belongs = {
            "rope_scaling": (self.rope_scaling is not None, "rotary"),
            "rope_pairing": (self.rope_pairing != "halves", "rotary"),
            "sinusoidal_pairing": (self.sinusoidal_pairing != "neighbours", "sinusoidal"),
        }
        for option, (given, kind) in belongs.items():
            if given and self.positions != kind:
                raise ValueError(
                    f"{option} changes {kind} positions, but positions is {self.positions};"
                    " remove it"
                )
        return self

    @model_validator(mode="after")
    def _belongs_to_kind(self) -> Model:
        """An option that another kind of model has is a mistake, not a wish to be ignored."""
        foreign = {
            "num_encoder_layers": (self.num_encoder_layers is not None, "encoder_decoder"),
            "share_embeddings: false": (not self.share_embeddings, "encoder_decoder"),
            "num_token_types": (self.num_token_types > 0, "masked_lm"),
        }
        for option, (given, kind) in foreign.items():
            if given and self.kind != kind:
                raise ValueError(f"{option} belongs to kind {kind}, not {self.kind}; remove it")
        if self.kind == "masked_lm" and not self.tie_embeddings:
            raise ValueError("masked_lm predicts with its token embedding; tie_embeddings: true")
        if self.kind == "encoder_decoder" and self.embedding_norm:
            raise ValueError("an encoder_decoder has no embedding_norm; remove it")
        return self

    @property
    def key_value_heads(self) -> int:
        """Key and value heads: `num_key_value_heads`, or as many as query heads."""
        return self.num_key_value_heads or self.num_query_heads

    @property
    def head_size(self) -> int:
        """Features of one head: `head_dim`, or an equal part of `hidden_dim`."""
        return self.head_dim or self.hidden_dim // self.num_query_heads

    @property
    def encoder_layers(self) -> int:
        """Blocks of the encoder: `num_encoder_layers`, or as many as the decoder's."""
        return self.num_encoder_layers or self.num_layers

    @property
    def embeddings_scaled(self) -> bool:
        """Whether token vectors are multiplied by sqrt(hidden_dim)."""
        if self.scale_embeddings is None:
            return self.positions == "sinusoidal"
        return self.scale_embeddings

    @property
    def attention_biases(self) -> str:
        """Which of attention's projections have biases: `attention_bias`, or as `use_bias`."""
        return self.attention_bias or ("all" if self.use_bias else "none")

    @property
    def ends_with_norm(self) -> bool:
        """Whether the last block's output is normalized: `final_norm`, or with pre-norm blocks."""
        return self.norm_placement == "pre" if self.final_norm is None else self.final_norm

    @property
    def score_scale(self) -> float:
        """Factor of attention's scores.

        With muP it is ``8 / head_dim``: it falls with the head's width itself, not with its root,
        and is the usual ``1 / sqrt(head_dim)`` at 64 (Yang et al. 2022, definition 4.1).
        """
        if self.attention_scale is not None:
            return self.attention_scale
        return float(8 / self.head_size if self.mup_base_dim else self.head_size**-0.5)

    @property
    def width_multiplier(self) -> float:
        """Width as a multiple of the one that muP's settings were tuned at; 1 without muP."""
        return self.hidden_dim / self.mup_base_dim if self.mup_base_dim else 1.0

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward layer has a gate beside its first projection."""
        return self.activation in GATED_ACTIVATIONS
