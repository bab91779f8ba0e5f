"""The encoder-decoder: what the target may depend on, memory, precision, decoding, saving."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.parallel.rematerialization import around

RANDOM = np.random.default_rng(5)
SOURCE = RANDOM.integers(0, 40, [2, 7]).astype("int32")
TOKENS = RANDOM.integers(0, 40, [2, 6]).astype("int32")
SOURCE_SEGMENTS = np.array([[1] * 7, [1, 1, 1, 1, 0, 0, 0]], "int32")
SEGMENTS = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], "int32")
INPUTS = {
    "source": SOURCE, "source_segments": SOURCE_SEGMENTS, "tokens": TOKENS, "segments": SEGMENTS,
}  # fmt: skip
KEY = tf.constant([[4, 10], [4, 11]])
#: One shape for each kind of position, so that together they cover most options.
SHAPES = {
    "sinusoidal": {
        "positions": "sinusoidal", "norm_placement": "post", "normalization": "layer_norm",
        "activation": "relu", "use_bias": True, "attention_bias": "none", "dropout": 0.2,
        "initialization": "glorot_uniform",
    },
    "relative": {
        "positions": "relative", "tie_embeddings": False, "head_dim": 6, "num_encoder_layers": 3,
    },
    "rotary": {"num_key_value_heads": 2, "share_embeddings": False, "qk_norm": True},
    "learned": {
        "positions": "learned", "share_embeddings": False, "tie_embeddings": False,
        "attention_logit_cap": 5.0, "num_key_value_heads": 1,
    },
    "alibi": {"positions": "alibi", "sliding_window": 4},
    "none": {"positions": "none", "experts": {"num_experts": 3, "capacity_factor": 0.8}},
}  # fmt: skip


def _build(kind="sinusoidal", dtype_policy="float32", **changes):
    settings = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_query_heads": 4}
    settings |= {"kind": "encoder_decoder", "initializer_range": 0.3, **SHAPES[kind], **changes}
    return models.build_model(
        config.Model(**settings), vocabulary_size=40, sequence_length=12, dtype_policy=dtype_policy
    )


#: One model for all tests that change nothing of it.
_model = functools.cache(_build)


@pytest.mark.parametrize("kind", SHAPES)
def test_target_sees_its_past_only(kind):
    """Changing a token of the target changes the logits from there on, and none before."""
    model, changed = _model(kind), TOKENS.copy()
    changed[:, 3] = (changed[:, 3] + 1) % 40
    before, after = (
        model({"source": SOURCE, "tokens": tokens}).numpy() for tokens in (TOKENS, changed)
    )
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (abs(before - after).max(axis=-1)[:, 3:] > 1e-6).all()


@pytest.mark.parametrize("kind", SHAPES)
def test_target_sees_all_of_the_source(kind):
    """Changing the last token of the source changes every logit, those of other rows excepted."""
    model, changed = _model(kind), SOURCE.copy()
    changed[0, 6] = (changed[0, 6] + 1) % 40
    before, after = (
        model({"source": source, "tokens": TOKENS}).numpy() for source in (SOURCE, changed)
    )
    assert (abs(before - after)[0].max(axis=-1) > 1e-7).all()
    np.testing.assert_allclose(before[1], after[1], atol=1e-6)


@pytest.mark.parametrize("kind", SHAPES)
def test_filling_of_the_source_changes_nothing(kind):
    """Neither what stands in it nor how much of it there is; without training, by rounding only."""
    model, changed = _model(kind), SOURCE.copy()
    changed[1, 4:] = 7
    before, after = (model({**INPUTS, "source": source}).numpy() for source in (SOURCE, changed))
    np.testing.assert_allclose(before, after, atol=1e-6)
    short = model({"source": SOURCE[1:, :4], "tokens": TOKENS[1:]})
    np.testing.assert_allclose(before[1:], short, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_filling_of_the_target_changes_nothing(kind):
    """Rows of other lengths beside it leave a row as it is."""
    model = _model(kind)
    whole = model(INPUTS).numpy()
    short = model({"source": SOURCE[:1], "tokens": TOKENS[:1, :4]})
    np.testing.assert_allclose(whole[:1, :4], short, rtol=1e-4, atol=1e-5)


def test_order_of_the_source_matters_with_positions_only():
    """Without positions the encoder sees a set."""
    moved = SOURCE[:, [1, 0, 5, 2, 6, 3, 4]]
    for kind in SHAPES:
        model = _model(kind)
        ways = [model({"source": s, "tokens": TOKENS}).numpy() for s in (SOURCE, moved)]
        assert (abs(ways[0] - ways[1]).max() < 1e-5) == (kind == "none"), kind


def test_embeddings_are_shared_or_not():
    """One matrix, two, or with the output's three; Vaswani et al. 2017, section 3.4: one."""
    matrices = {
        (True, True): {"embedding/embeddings"},
        (True, False): {"embedding/embeddings", "output_projection/kernel"},
        (False, True): {"encoder_embedding/embeddings", "decoder_embedding/embeddings"},
        (False, False): {
            "encoder_embedding/embeddings", "decoder_embedding/embeddings",
            "output_projection/kernel",
        },
    }  # fmt: skip
    for (share, tie), expected in matrices.items():
        model = _model(share_embeddings=share, tie_embeddings=tie)
        paths = {weight.path.removeprefix("encoder_decoder/") for weight in model.weights}
        assert {path for path in paths if 40 in _shape(model, path)} == expected
        head = {weight.path.removeprefix("encoder_decoder/") for weight in model.head_variables}
        assert head < expected or head == expected
        assert len(head) == 1


def _shape(model, path):
    return next(tuple(weight.shape) for weight in model.weights if weight.path.endswith(path))


def _gradients(model, inputs=INPUTS, key=KEY):
    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            forward = model.forward(inputs, key)
            loss = tf.reduce_sum(tf.nn.log_softmax(model.logits(forward.hidden))[..., 3])
            loss += tf.reduce_sum(forward.router)
        found = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        return [None if part is None else tf.convert_to_tensor(part) for part in found]

    paths = [weight.path.removeprefix("encoder_decoder/") for weight in model.trainable_variables]
    return dict(zip(paths, step(), strict=True))


@pytest.mark.parametrize("kind", ["sinusoidal", "relative", "none"])
def test_every_weight_learns_and_rematerialization_changes_no_gradient(kind):
    """Through the memory into the encoder, and into the tables of both sides."""
    model = _build(kind, num_layers=1, num_encoder_layers=1, dropout=0.2)
    plain = _gradients(model)
    model.run_blocks = around(model.run_blocks, "block")
    for path, gradient in _gradients(model).items():
        assert gradient is not None, path
        if "key/bias" not in path:  # its true gradient is zero: softmax ignores a shift
            assert np.any(gradient), path
        scale = max(np.abs(plain[path]).max(), 1e-3)
        np.testing.assert_allclose(gradient / scale, plain[path] / scale, atol=1e-5, err_msg=path)


def test_dropout_depends_on_rows_not_on_batches():
    """A row alone, with its key, gives what it gives among others."""
    model = _model()
    together = model(INPUTS, dropout_key=KEY)
    alone = model({name: part[1:] for name, part in INPUTS.items()}, dropout_key=KEY[1:])
    np.testing.assert_allclose(together[1:], alone, rtol=1e-4, atol=1e-5)
    assert abs(together - model(INPUTS)).numpy().max() > 0.01


@pytest.mark.parametrize("kind", SHAPES)
def test_mixed_precision_stays_near_float32(kind):
    """bfloat16 inside, float32 weights and logits, equal within bfloat16's rounding."""
    mixed, exact = _model(kind, "mixed_bfloat16"), _model(kind)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    logits = mixed(INPUTS)
    assert logits.dtype == tf.float32
    expected = exact(INPUTS).numpy()
    error = (logits.numpy() - expected).std() / expected.std()
    assert error < (0.2 if kind == "none" else 0.05)  # a rounded router may choose another expert


def _decode(model, tokens, cuts, left_padding=None, order=None):
    """Logits of `tokens`, decoded in pieces that end at `cuts`; rows change places after each."""
    cache = model.initial_cache(len(tokens), 12, SOURCE, SOURCE_SEGMENTS)
    pieces, start, rows = [], 0, np.arange(len(tokens))
    for end in cuts:
        hidden, cache = model.decode(tokens[rows, start:end], cache, start, left_padding)
        pieces.append(model.logits(hidden).numpy()[np.argsort(rows)])
        if order is not None:
            rows = rows[order]
            cache = tf.nest.map_structure(lambda part: tf.gather(part, order), cache)
        start = end
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    ("cuts", "order"),
    [([6], None), ([1, 2, 3, 4, 5, 6], None), ([2, 4, 5, 6], [1, 0])],
    ids=["at once", "a token at a time", "rows change places"],
)
def test_cached_equals_uncached(kind, cuts, order):
    """Keys and values of the memory too: the logits are those of one forward pass."""
    model = _model(kind)
    inputs = {name: part for name, part in INPUTS.items() if name != "segments"}
    whole = model(inputs).numpy()
    scale = abs(whole).max()
    decoded = _decode(model, TOKENS, cuts, order=order)
    np.testing.assert_allclose(decoded / scale, whole / scale, atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_left_padding(kind):
    """Targets of different lengths that end together, filled up in front with any token."""
    model, padding = _model(kind), np.array([2, 0], "int32")
    padded = TOKENS.copy()
    padded[0] = [39, 39, *TOKENS[0, :4]]
    decoded = _decode(model, padded, [4, 5, 6], left_padding=padding)
    inputs = {name: part[:1] for name, part in INPUTS.items() if name != "segments"}
    alone = model({**inputs, "tokens": TOKENS[:1, :4]}).numpy()
    np.testing.assert_allclose(decoded[:1, 2:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@pytest.mark.parametrize("kind", ["sinusoidal", "relative", "none"])
def test_keras_file_gives_the_model_back(tmp_path, kind):
    """`.save` and `load_model`, without telling Keras about our classes."""
    model = _build(kind)
    for weight in model.weights:
        weight.assign_add(RANDOM.normal(scale=0.1, size=weight.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))


def test_settings_of_another_kind_are_refused():
    """The class and the settings must agree."""
    shape = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 8, "num_query_heads": 2}
    with pytest.raises(ValueError, match="settings of kind encoder_decoder, got causal_lm"):
        models.EncoderDecoder(shape, vocabulary_size=9, sequence_length=4)
