"""Self- and cross-attention with every option against the paper's equations, with gradients.

Each is computed whole, in blocks of queries, and in blocks that are computed again for the
gradient, as in long rows.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import (
    AlibiPositions,
    Attention,
    CrossAttention,
    RelativePositions,
    RotaryPositions,
    attention_core,
)
from llm_keras.layers.masks import RowMask, filling_mask
from tests.reference import equations
from tests.reference.numeric import compare, expect, normal, randomize

T, D, N, H = 5, 4, 4, 4
X = normal(2, T, D)
PACKED = {"segments": np.array([[1, 1, 1, 2, 2], [1, 1, 1, 1, 0]], "int32")}
#: Changes of a layer with 4 query heads that share 2 key-value heads.
OPTIONS = {
    "grouped": {},
    "multi-head": {"num_key_value_heads": 4},
    "multi-query": {"num_key_value_heads": 1},
    "both directions": {"causal": False},
    "window": {"window": 2},
    "window to both sides": {"causal": False, "window": 3},
    "norm of heads": {"qk_norm": True, "norm_epsilon": 0.1},
    "capped": {"logit_cap": 0.7},
    "scaled": {"scale": 1.3},
    "all biases": {"biases": "all"},
    "biases but the output's": {"biases": "query_key_value"},
    "all at once": {
        "biases": "all", "qk_norm": True, "logit_cap": 1.5, "scale": 0.9, "window": 3,
        "causal": False,
    },
}  # fmt: skip


def _layer(kind=Attention, **changes):
    settings = {"num_query_heads": N, "num_key_value_heads": 2, "head_dim": H, **changes}
    return randomize(kind(**settings, name="attention"), (None, None, D))


def _compare_all_ways(monkeypatch, expected, attention, layer, whole, in_blocks, *inputs):
    """`layer` is what is differentiated: the attention or what holds it."""
    compare(expected, layer, whole, *inputs)
    attention.block_length = 2  # 5 queries: the last block is shorter
    compare(expected, layer, in_blocks, *inputs)
    monkeypatch.setattr(attention_core, "KEPT_LENGTH", T - 1)
    compare(expected, layer, in_blocks, *inputs)


def _check(monkeypatch, layer, context, **reference):
    """Self-attention with a context for blocks; `reference`: `bias` and `turn` of the equation."""
    seen = equations.seen_by(T, layer.causal, layer.window, context.get("segments"))
    of_mask = {name: context[name] for name in ("segments", "distance_bias") if name in context}
    mask = RowMask(T, layer.causal, layer.window, **of_mask).whole()

    def equation(w, x):
        return equations.attention(
            w, x, x, seen, heads=N, shared=layer.num_key_value_heads, epsilon=layer.norm_epsilon,
            scale=layer.scoring.scale, cap=layer.scoring.logit_cap, **reference,
        )  # fmt: skip

    _compare_all_ways(
        monkeypatch,
        expect(layer, equation, X),
        layer,
        layer,
        lambda x: layer(x, {**context, "mask": mask}),
        lambda x: layer(x, context),
        X,
    )


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("context", [{}, PACKED], ids=["one document", "packed"])
def test_self_attention(monkeypatch, option, context):
    """All options, with one document a row and with several and filling."""
    _check(monkeypatch, _layer(**OPTIONS[option]), context)


@pytest.mark.parametrize("pairing", ["halves", "neighbours"])
def test_rotary_self_attention(monkeypatch, pairing):
    """Queries and keys turn, after their norm; values do not."""
    layer = _layer(qk_norm=True, rope_pairing=pairing)
    positions = np.array([[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]], "int32")
    cos, sin = RotaryPositions(H, pairing=pairing)(positions)
    frequencies = [10_000.0 ** (-2 * pair / H) for pair in range(H // 2)]
    _check(
        monkeypatch,
        layer,
        {**PACKED, "cos": cos, "sin": sin},
        turn=lambda heads: equations.rotate(heads, positions, frequencies, pairing),
    )


@pytest.mark.parametrize("causal", [True, False])
def test_alibi_self_attention(monkeypatch, causal):
    """The bias is added to the scores, a head at a time."""
    slopes = np.array(equations.alibi_slopes(N))[:, None]
    _check(
        monkeypatch,
        _layer(causal=causal),
        {**PACKED, "distance_bias": AlibiPositions(N)(length=T)},
        bias=equations.by_distance(-slopes * abs(np.arange(1 - T, T)), T),
    )


class _WithBuckets(keras.layers.Layer):
    """Attention and the learned biases it reads, so that both have their gradients."""

    def __init__(self, causal):
        super().__init__(name="model")
        self.positions = RelativePositions(N, causal, num_buckets=4, max_distance=4, name="bias")
        self.attention = Attention(N, 2, H, causal=causal, name="attention")

    def build(self, input_shape):
        self.positions.build()
        self.attention.build(input_shape)


@pytest.mark.parametrize("causal", [True, False])
def test_relative_self_attention(monkeypatch, causal):
    """The gradient of the scores reaches the table of biases, however they are computed."""
    layer = randomize(_WithBuckets(causal), (None, None, D))
    buckets = [equations.relative_bucket(d, causal, 4, 4) for d in range(1 - T, T)]

    def equation(w, x):
        inner = {path.removeprefix("attention/"): part for path, part in w.items()}
        return equations.attention(
            inner, x, x, equations.seen_by(T, causal), heads=N, shared=2,
            bias=equations.by_distance(w["bias/buckets"][buckets].T, T),
        )  # fmt: skip

    def in_blocks(x):
        return layer.attention(x, {"distance_bias": layer.positions(length=T)})

    def whole(x):
        mask = RowMask(T, causal, distance_bias=layer.positions(length=T)).whole()
        return layer.attention(x, {"mask": mask})

    expected = expect(layer, equation, X)
    _compare_all_ways(monkeypatch, expected, layer.attention, layer, whole, in_blocks, X)


@pytest.mark.parametrize(
    "option", [name for name, option in OPTIONS.items() if not {"causal", "window"} & {*option}]
)
def test_cross_attention(monkeypatch, option):
    """Keys and values are the memory's, whose gradient goes back to it; filling is not seen."""
    layer, memory = _layer(CrossAttention, **OPTIONS[option]), normal(2, 3, D, seed=5)
    segments = np.array([[1, 1, 1], [1, 1, 0]], "int32")

    def equation(w, x, memory):
        return equations.attention(
            w, x, memory, (segments != 0)[:, None], heads=N, shared=layer.num_key_value_heads,
            epsilon=layer.norm_epsilon, scale=layer.scoring.scale, cap=layer.scoring.logit_cap,
        )  # fmt: skip

    def call(x, memory):
        mask = filling_mask(tf.constant(segments))
        return layer(x, {"memory": memory, "memory_mask": mask})

    expected = expect(layer, equation, X, memory)
    _compare_all_ways(monkeypatch, expected, layer, layer, call, call, X, memory)
