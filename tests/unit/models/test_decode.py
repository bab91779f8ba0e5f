"""The cache: decoding equals the whole forward pass, and rows do not depend on each other."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models

TOKENS = np.random.default_rng(4).integers(0, 50, [3, 10]).astype("int32")
SHAPES = {
    "rotary": {"num_key_value_heads": 2},
    "learned": {
        "positions": "learned", "normalization": "layer_norm", "activation": "gelu",
        "use_bias": True,
    },
    "sinusoidal": {"positions": "sinusoidal", "norm_placement": "post", "tie_embeddings": False},
}  # fmt: skip


def _model(kind, dtype_policy="float32"):
    settings = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_query_heads": 4}
    settings |= {"initializer_range": 0.3, **SHAPES[kind]}
    return models.build_model(
        config.Model(**settings), vocabulary_size=50, sequence_length=16, dtype_policy=dtype_policy
    )


def _decode_in_pieces(model, tokens, cuts, length=16):
    """Logits of `tokens`, decoded in pieces that end at `cuts`."""
    cache, pieces, start = model.initial_cache(len(tokens), length), [], 0
    for end in cuts:
        hidden, cache = model.decode(tokens[:, start:end], cache, start)
        pieces.append(model.logits(hidden).numpy())
        start = end
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "cuts",
    [[10], [4, *range(5, 11)], [1, 2, 3, 10], [3, 7, 10]],
    ids=["prefill", "prefill and steps", "steps and a piece", "pieces"],
)
def test_cached_equals_uncached(kind, cuts):
    """However a text is cut, the logits are those of one forward pass, within 1e-5."""
    model = _model(kind)
    whole = model({"tokens": TOKENS}).numpy()
    scale = abs(whole).max()
    np.testing.assert_allclose(
        _decode_in_pieces(model, TOKENS, cuts) / scale, whole / scale, atol=1e-5
    )


@pytest.mark.parametrize("kind", SHAPES)
def test_prompts_of_different_lengths(kind):
    """Filled up on the right and decoded together, each row gives what it gives alone."""
    model, lengths = _model(kind), np.array([2, 5, 3], "int32")
    prompts = np.where(np.arange(5) < lengths[:, None], TOKENS[:, :5], 49)
    cache = model.initial_cache(3, 16)
    hidden, cache = model.decode(prompts, cache, 0)
    logits = [tf.gather(model.logits(hidden), lengths - 1, batch_dims=1).numpy()]
    for step in range(4):
        following = np.take_along_axis(TOKENS, (lengths + step)[:, None], axis=1)
        hidden, cache = model.decode(following, cache, lengths + step)
        logits.append(model.logits(hidden)[:, 0].numpy())
    for row, length in enumerate(lengths):
        alone = model({"tokens": TOKENS[row : row + 1, : length + 4]}).numpy()[0]
        together = np.stack([step[row] for step in logits])
        scale = abs(alone).max()
        np.testing.assert_allclose(together / scale, alone[length - 1 :] / scale, atol=1e-5)


def test_other_rows_and_the_filling_change_nothing():
    """Bit for bit: neither what stands in the filling nor the tokens of other rows matter."""
    model = _model("rotary")

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
