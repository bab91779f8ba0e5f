"""The cache: decoding equals the whole forward pass, and rows do not depend on each other."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models

TOKENS = np.random.default_rng(4).integers(0, 50, [3, 10]).astype("int32")
SOURCE = np.random.default_rng(5).integers(0, 50, [3, 6]).astype("int32")
SOURCE_SEGMENTS = (np.arange(6) < np.array([[6], [3], [5]])).astype("int32")
#: Every kind of position, and what else changes what a position sees or where a token goes;
#: the other shapes of an encoder_decoder are in test_encoder_decoder.
SHAPES = {
    "rotary": {"num_key_value_heads": 2},
    "rotary neighbours": {
        "rope_pairing": "neighbours", "rope_scaling": {"kind": "linear", "factor": 2.0},
        "num_key_value_heads": 1, "qk_norm": True,
    },
    "learned": {
        "positions": "learned", "normalization": "layer_norm", "activation": "gelu",
        "use_bias": True,
    },
    "sinusoidal": {"positions": "sinusoidal", "norm_placement": "post", "tie_embeddings": False},
    "sinusoidal halves": {"positions": "sinusoidal", "sinusoidal_pairing": "halves"},
    "alibi": {"positions": "alibi", "num_key_value_heads": 2},
    "relative": {"positions": "relative", "attention_scale": 1.0},
    "none": {"positions": "none", "attention_logit_cap": 5.0, "output_logit_cap": 10.0},
    "sliding window": {"sliding_window": 3},
    "sliding window and alibi": {"positions": "alibi", "sliding_window": 4},
    "experts": {"experts": {"num_experts": 4, "experts_per_token": 2}},
    "encoder_decoder": {"kind": "encoder_decoder", "num_key_value_heads": 2, "sliding_window": 4},
}  # fmt: skip


def _model(kind, dtype_policy="float32"):
    settings = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_query_heads": 4}
    settings |= {"initializer_range": 0.3, **SHAPES[kind]}
    return models.build_model(
        config.Model(**settings), vocabulary_size=50, sequence_length=16, dtype_policy=dtype_policy
    )


def _source(model, rows):
    """What the model reads besides tokens, of these rows."""
    if model.kind != "encoder_decoder":
        return {}
    return {"source": SOURCE[rows], "source_segments": SOURCE_SEGMENTS[rows]}


def _cache(model, length=16, rows=(0, 1, 2)):
    return model.initial_cache(len(rows), length, **_source(model, list(rows)))


def _whole(model, tokens, rows=(0, 1, 2)):
    """Logits of one forward pass, without a cache."""
    return model({"tokens": tokens, **_source(model, list(rows))}).numpy()


def _assert_close(found, expected):
    """Within 1e-5 of the largest logit."""
    scale = abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


def _decode_in_pieces(model, tokens, cuts):
    """Logits of `tokens`, decoded in pieces that end at `cuts`."""
    cache, pieces, start = _cache(model), [], 0
    for end in cuts:
        hidden, cache = model.decode(tokens[:, start:end], cache, start)
        pieces.append(model.logits(hidden).numpy())
        start = end
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("kind", SHAPES)
def test_cached_equals_uncached(kind):
    """However a text is cut, the logits are those of one forward pass, within 1e-5.

    As a prompt and single tokens, as tokens and a piece, and as pieces.
    """
    model = _model(kind)
    whole = _whole(model, TOKENS)
    for cuts in ([4, *range(5, 11)], [1, 2, 3, 10], [3, 7, 10]):
        _assert_close(_decode_in_pieces(model, TOKENS, cuts), whole)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", SHAPES)
def test_prompts_of_different_lengths(kind, side):
    """Filled up on one side and decoded together, each row gives what it gives alone."""
    model, lengths = _model(kind), np.array([2, 5, 3], "int32")
    left = (5 - lengths) if side == "left" else np.zeros(3, "int32")
    columns = np.arange(5) - left[:, None]
    inside = (columns >= 0) & (columns < lengths[:, None])
    prompts = np.where(inside, np.take_along_axis(TOKENS, np.maximum(columns, 0), axis=1), 49)
    padding = left if side == "left" else None
    hidden, cache = model.decode(prompts, _cache(model), 0, padding)
    logits = [tf.gather(model.logits(hidden), left + lengths - 1, batch_dims=1).numpy()]
    for step in range(4):
        following = np.take_along_axis(TOKENS, (lengths + step)[:, None], axis=1)
        hidden, cache = model.decode(following, cache, left + lengths + step, padding)
        logits.append(model.logits(hidden)[:, 0].numpy())
    for row, length in enumerate(lengths):
        alone = _whole(model, TOKENS[row : row + 1, : length + 4], [row])[0]
        _assert_close(np.stack([step[row] for step in logits]), alone[length - 1 :])


@pytest.mark.parametrize("kind", SHAPES)
def test_rows_of_the_cache_can_be_moved(kind):
    """After a beam reorder each row goes on as the text whose cache it was given."""
    model, rows = _model(kind), [2, 0, 0, 1]
    _, cache = model.decode(TOKENS[:, :4], _cache(model), 0)
    _, cache = model.decode(TOKENS[:, 4:5], cache, np.full(3, 4, "int32"))
    cache = tf.nest.map_structure(lambda part: tf.gather(part, rows), cache)
    following = np.array([[7], [8], [9], [10]], "int32")
    hidden, _ = model.decode(following, cache, np.full(4, 5, "int32"))
    texts = np.concatenate([TOKENS[rows, :5], following], axis=1)
    _assert_close(model.logits(hidden).numpy()[:, 0], _whole(model, texts, rows)[:, -1])


@pytest.mark.parametrize("kind", ["rotary", "experts"])
def test_other_rows_and_the_filling_change_nothing(kind):
    """Bit for bit: neither what stands in the filling nor the tokens of other rows matter."""
    model = _model(kind)

    def first_row(prompts):
        cache = model.initial_cache(3, 16)
        hidden, cache = model.decode(prompts, cache, 0)
        step, _ = model.decode(TOKENS[:, 5:6], cache, np.array([3, 4, 5], "int32"))
        return np.concatenate([hidden[0, :3], step[0]])

    prompts = TOKENS[:, :5].copy()
    other = prompts.copy()
    other[0, 3:], other[1:] = 7, 8
    np.testing.assert_array_equal(first_row(prompts), first_row(other))


def test_graph_of_unknown_sizes_exports_without_xla(tmp_path):
    """A while loop over one-token steps, any batch and length, saved, loaded and equal."""
    model = _model("rotary")

    class Greedy(tf.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
        def generate(self, prompts):
            batch, length = tf.unstack(tf.shape(prompts))
            cache = model.initial_cache(batch, length + 4)
            hidden, cache = model.decode(prompts, cache, 0)
            first = tf.argmax(model.logits(hidden[:, -1]), -1, output_type=tf.int32)

            def step(index, tokens, cache):
                hidden, cache = model.decode(tokens[:, -1:], cache, length + index)
                following = tf.argmax(model.logits(hidden[:, 0]), -1, output_type=tf.int32)
                return index + 1, tf.concat([tokens, following[:, None]], 1), cache

            any_length = tf.TensorShape([None, None])
            cache_shapes = tf.nest.map_structure(lambda part: part.shape, cache)
            return tf.while_loop(
                lambda index, *_: index < 4,
                step,
                (0, tf.concat([prompts, first[:, None]], 1), cache),
                shape_invariants=(tf.TensorShape([]), any_length, cache_shapes),
            )[1]

    tf.saved_model.save(Greedy(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for prompts in (TOKENS[:2, :3], TOKENS[:, :6]):
        tokens = prompts
        for _ in range(5):
            following = model({"tokens": tokens}).numpy()[:, -1].argmax(-1)
            tokens = np.concatenate([tokens, following[:, None].astype("int32")], axis=1)
        np.testing.assert_array_equal(loaded.generate(prompts), tokens)


def test_mixed_precision_keeps_the_cache_in_bfloat16():
    """Half the memory; the logits stay near the uncached ones."""
    model = _model("learned", "mixed_bfloat16")
    assert model.initial_cache(3, 16)[0][0].dtype == tf.bfloat16
    whole = model({"tokens": TOKENS}).numpy()
    pieces = _decode_in_pieces(model, TOKENS, [4, *range(5, 11)])
    assert abs(pieces - whole).max() < 0.05 * abs(whole).max()
