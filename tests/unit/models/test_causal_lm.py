"""The causal language model: what a position may depend on, precision, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models

TOKENS = np.random.default_rng(2).integers(0, 50, [2, 8]).astype("int32")
#: One shape for each kind of position, so that together they cover every option.
SHAPES = {
    "rotary": {"num_key_value_heads": 2, "attention_block_length": 4},
    "learned": {
        "positions": "learned", "normalization": "layer_norm", "activation": "gelu_tanh",
        "use_bias": True, "dropout": 0.2,
    },
    "sinusoidal": {
        "positions": "sinusoidal", "norm_placement": "post", "activation": "relu",
        "tie_embeddings": False, "head_dim": 6, "num_key_value_heads": 1,
    },
}  # fmt: skip


def _model(kind="rotary", dtype_policy="float32", **changes):
    settings = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_query_heads": 4}
    settings |= {"initializer_range": 0.3, **SHAPES[kind], **changes}
    return models.build_model(
        config.Model(**settings), vocabulary_size=50, sequence_length=16, dtype_policy=dtype_policy
    )


@pytest.mark.parametrize("kind", SHAPES)
def test_positions_see_the_past_only(kind):
    """Changing a token changes the logits from there on, and none before."""
    model, changed = _model(kind), TOKENS.copy()
    changed[:, 5] = (changed[:, 5] + 1) % 50
    before, after = (model({"tokens": t}).numpy() for t in (TOKENS, changed))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (abs(before - after).max(axis=-1)[:, 5:] > 1e-6).all()


@pytest.mark.parametrize("kind", SHAPES)
def test_packed_documents_do_not_see_each_other(kind):
    """Two documents in one row give the logits that each gives alone."""
    model = _model(kind)
    alone = [model({"tokens": part}).numpy() for part in (TOKENS[:1, :4], TOKENS[1:, :4])]
    packed = model(
        {
            "tokens": np.concatenate([TOKENS[:1, :4], TOKENS[1:, :4]], axis=1),
            "segments": np.array([[1] * 4 + [2] * 4]),
            "positions": np.array([[0, 1, 2, 3] * 2]),
        }
    )
    np.testing.assert_allclose(packed, np.concatenate(alone, axis=1), rtol=1e-5, atol=1e-5)


def test_call_is_hidden_states_then_logits():
    """The loss may take the last step apart."""
    model = _model("sinusoidal")
    hidden = model.hidden_states({"tokens": TOKENS})
    assert hidden.shape == (2, 8, 16)
    np.testing.assert_array_equal(model.logits(hidden), model({"tokens": TOKENS}))


def test_unbuilt_model_makes_its_weights_when_called():
    """`CausalLM(...)` alone follows Keras's custom, and gives what `build_model` gives."""
    built = _model()
    lazy = models.CausalLM(built.settings, vocabulary_size=50, sequence_length=16)
    np.testing.assert_array_equal(lazy({"tokens": TOKENS}), built({"tokens": TOKENS}))


@pytest.mark.parametrize("kind", SHAPES)
def test_mixed_precision_stays_near_float32(kind):
    """bfloat16 inside, float32 weights and logits, equal within bfloat16's rounding."""
    mixed, single = _model(kind, "mixed_bfloat16"), _model(kind)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    assert mixed.hidden_states({"tokens": TOKENS}).dtype == tf.bfloat16
    logits = mixed({"tokens": TOKENS})
    assert logits.dtype == tf.float32
    exact = single({"tokens": TOKENS}).numpy()
    assert (logits.numpy() - exact).std() < 0.03 * exact.std()


def test_dropout_depends_on_rows_not_on_batches():
    """A row alone, with its key, gives what it gives among others; without a key nothing drops."""
    model = _model("learned")
    key = tf.constant([[4, 10], [4, 11]])
    together = model({"tokens": TOKENS}, dropout_key=key)
    alone = model({"tokens": TOKENS[1:]}, dropout_key=key[1:])
    np.testing.assert_allclose(together[1:], alone, rtol=1e-5, atol=1e-5)
    assert abs(together - model({"tokens": TOKENS})).numpy().max() > 0.01


def test_every_weight_learns():
    """The gradient reaches every variable, through a graph, with dropout and packed rows."""
    model = _model("learned")
    segments = tf.constant([[1] * 8, [1, 1, 1, 2, 2, 2, 0, 0]])

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            inputs = {"tokens": TOKENS, "segments": segments}
            logits = model(inputs, dropout_key=tf.constant([[1, 0], [1, 1]]))
            loss = tf.reduce_sum(tf.nn.log_softmax(logits)[..., 3])
        return tape.gradient(loss, [weight.value for weight in model.trainable_variables])

    for weight, gradient in zip(model.trainable_variables, gradients(), strict=True):
        assert gradient is not None, weight.path
        if "key/bias" not in weight.path:  # its true gradient is zero: softmax ignores a shift
            assert np.any(gradient), weight.path


def test_how_blocks_are_run_may_be_replaced():
    """Training puts rematerialization there."""
    model, calls = _model(), []

    def run_blocks(blocks, x, context, dropout_key):
        calls.extend(block.name for block in blocks)
        return plain_run(blocks, x, context, dropout_key)

    plain, plain_run = model({"tokens": TOKENS}), model.run_blocks
    model.run_blocks = run_blocks
    np.testing.assert_array_equal(model({"tokens": TOKENS}), plain)
    assert calls == ["block_0", "block_1"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
def test_keras_file_gives_the_model_back(tmp_path):
    """`.save` and `load_model`, without telling Keras about our classes."""
    model = _model("learned")
    model.blocks[1].attention.value.kernel.assign_add(model.blocks[1].attention.query.kernel)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded({"tokens": TOKENS}), model({"tokens": TOKENS}))


def test_mirrored_replicas_start_equal_and_compute_the_same():
    """Under MirroredStrategy weights are made on every replica, and calls agree."""
    plain = _model()
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    with strategy.scope():
        mirrored = _model()
    logits = strategy.run(lambda: mirrored({"tokens": TOKENS}))
    np.testing.assert_array_equal(logits, plain({"tokens": TOKENS}))


def test_query_blocks_take_lengths_that_are_not_known_or_no_multiple():
    """A SavedModel's graph is made before the length of a text is known."""
    shape = config.Model(
        num_layers=1,
        hidden_dim=16,
        intermediate_dim=24,
        num_query_heads=2,
        attention_block_length=4,
    )
    model = models.build_model(shape, vocabulary_size=20, sequence_length=8)
    whole = models.build_model(
        shape.model_copy(update={"attention_block_length": None}),
        vocabulary_size=20,
        sequence_length=8,
    )
    graph = tf.function(
        lambda tokens: model({"tokens": tokens}),
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    for length in (8, 7, 3):
        tokens = tf.range(length)[None]
        expected = whole({"tokens": tokens})
        np.testing.assert_allclose(graph(tokens), expected, atol=1e-6)
        np.testing.assert_allclose(model({"tokens": tokens}), expected, atol=1e-6)
