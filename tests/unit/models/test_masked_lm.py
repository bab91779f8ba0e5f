"""The masked language model: both directions, filling, parts, sentence vectors, saving."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.parallel.rematerialization import around

RANDOM = np.random.default_rng(6)
TOKENS = RANDOM.integers(0, 40, [2, 8]).astype("int32")
SEGMENTS = np.array([[1] * 8, [1, 1, 1, 1, 1, 0, 0, 0]], "int32")
TYPES = np.array([[0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0, 0]], "int32")
INPUTS = {"tokens": TOKENS, "segments": SEGMENTS}
KEY = tf.constant([[4, 10], [4, 11]])
SHAPES = {
    "bert": {
        "positions": "learned", "norm_placement": "post", "normalization": "layer_norm",
        "activation": "gelu", "use_bias": True, "embedding_norm": True, "num_token_types": 2,
        "normalization_epsilon": 1e-12, "dropout": 0.1,
    },
    "rotary": {"num_key_value_heads": 2, "qk_norm": True},
    "relative": {"positions": "relative"},
    "alibi": {"positions": "alibi", "experts": {"num_experts": 3, "capacity_factor": 0.8}},
}  # fmt: skip


def _build(kind="bert", dtype_policy="float32", **changes):
    settings = {"num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24, "num_query_heads": 4}
    settings |= {"kind": "masked_lm", "initializer_range": 0.3, **SHAPES[kind], **changes}
    return models.build_model(
        config.Model(**settings), vocabulary_size=40, sequence_length=12, dtype_policy=dtype_policy
    )


#: One model for all tests that change nothing of it.
_model = functools.cache(_build)


@pytest.mark.parametrize("kind", SHAPES)
def test_every_position_sees_both_sides(kind):
    """Changing the middle token changes the logits of all positions of its row, and of no other."""
    model, changed = _model(kind), TOKENS.copy()
    changed[0, 4] = (changed[0, 4] + 1) % 40
    before, after = (model({"tokens": tokens}).numpy() for tokens in (TOKENS, changed))
    assert (abs(before - after)[0].max(axis=-1) > 1e-6).all()
    np.testing.assert_allclose(before[1], after[1], atol=1e-6)


@pytest.mark.parametrize("kind", SHAPES)
def test_filling_changes_nothing(kind):
    """Real positions give what they give without it."""
    model = _model(kind)
    short = model({"tokens": TOKENS[1:, :5]})
    np.testing.assert_allclose(model(INPUTS)[1:, :5], short, rtol=1e-4, atol=1e-5)


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
    np.testing.assert_allclose(packed, np.concatenate(alone, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_sentence_vectors_are_means_of_real_tokens_at_unit_length(kind):
    """Filling counts nowhere; the mean is taken in float32."""
    model = _model(kind)
    vectors = model.sentence_vectors(INPUTS).numpy()
    hidden = model.hidden_states(INPUTS).numpy().astype(float)
    for row, length in enumerate((8, 5)):
        mean = hidden[row, :length].mean(0)
        np.testing.assert_allclose(vectors[row], mean / np.linalg.norm(mean), atol=1e-6)
    changed = np.where(SEGMENTS == 0, 7, TOKENS)
    same = model.sentence_vectors({**INPUTS, "tokens": changed})
    np.testing.assert_allclose(vectors, same, atol=1e-6)
    short = model.sentence_vectors({"tokens": TOKENS[1:, :5]})
    np.testing.assert_allclose(vectors[1:], short, atol=1e-5)


def test_sentence_vectors_of_no_tokens_are_no_nan():
    """A row of filling only, as at the end of a batch."""
    vectors = _model().sentence_vectors({**INPUTS, "segments": np.zeros_like(SEGMENTS)})
    assert np.isfinite(vectors).all()


def test_token_types_change_what_is_read():
    """Part 0 everywhere is what nobody says; another part is another vector."""
    model = _model()
    plain = model(INPUTS).numpy()
    np.testing.assert_array_equal(plain, model({**INPUTS, "token_types": TYPES * 0}))
    assert abs(plain - model({**INPUTS, "token_types": TYPES})).numpy().max() > 1e-3


def test_embedding_sum_in_the_order_of_bert():
    """Token, position and part are added, then normalized; Devlin et al. 2019, figure 2."""
    model = _build(num_layers=1)
    table = model.embedding.embeddings.numpy()[TOKENS]
    total = table + model.positions.embeddings.numpy()[:8]
    total += model.token_types.embeddings.numpy()[TYPES]
    seen = []
    plain = model.run_blocks
    model.run_blocks = lambda blocks, x, *rest: seen.append(x) or plain(blocks, x, *rest)
    model({**INPUTS, "token_types": TYPES})
    np.testing.assert_allclose(seen[0], model.embedding_norm(total), atol=1e-5)


def test_logits_of_some_places():
    """The loss asks for masked places only."""
    model = _model()
    hidden = model.hidden_states(INPUTS)
    few = model.logits(tf.gather(hidden, [[0, 3], [4, 1]], batch_dims=1))
    whole = model(INPUTS).numpy()
    np.testing.assert_allclose(few[0], whole[0, [0, 3]], atol=1e-5)
    np.testing.assert_allclose(few[1], whole[1, [4, 1]], atol=1e-5)


def _gradients(model):
    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            forward = model.forward({**INPUTS, "token_types": TYPES}, KEY)
            loss = tf.reduce_sum(tf.nn.log_softmax(model.logits(forward.hidden))[..., 3])
            loss += tf.reduce_sum(forward.router)
        found = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        return [None if part is None else tf.convert_to_tensor(part) for part in found]

    paths = [weight.path.removeprefix("masked_lm/") for weight in model.trainable_variables]
    return dict(zip(paths, step(), strict=True))


@pytest.mark.parametrize("kind", ["bert", "relative", "alibi"])
def test_every_weight_learns_and_rematerialization_changes_no_gradient(kind):
    """With dropout, filling, parts, and experts that drop tokens."""
    model = _build(kind, num_layers=1, dropout=0.2)
    plain = _gradients(model)
    model.run_blocks = around(model.run_blocks, "block")
    for path, gradient in _gradients(model).items():
        assert gradient is not None, path
        if "key/bias" not in path:  # its true gradient is zero: softmax ignores a shift
            assert np.any(gradient), path
        scale = max(np.abs(plain[path]).max(), 1e-3)
        np.testing.assert_allclose(gradient / scale, plain[path] / scale, atol=1e-5, err_msg=path)


def test_head_variables_are_those_of_the_logits():
    """The embedding's matrix and the whole head, nothing else."""
    model = _model()
    hidden = tf.constant(RANDOM.normal(size=[2, 16]), tf.float32)
    with tf.GradientTape() as tape:
        logits = model.logits(hidden)
    weights = model.trainable_variables
    found = tape.gradient(logits, [weight.value for weight in weights])
    read = {w.path for w, part in zip(weights, found, strict=True) if part is not None}
    assert read == {weight.path for weight in model.head_variables}


@pytest.mark.parametrize("kind", SHAPES)
def test_mixed_precision_stays_near_float32(kind):
    """bfloat16 inside, float32 weights, logits and sentence vectors."""
    mixed, exact = _model(kind, "mixed_bfloat16"), _model(kind)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    logits, vectors = mixed(INPUTS), mixed.sentence_vectors(INPUTS)
    assert logits.dtype == vectors.dtype == tf.float32
    expected = exact(INPUTS).numpy()
    error = (logits.numpy() - expected).std() / expected.std()
    assert error < (0.2 if kind == "alibi" else 0.05)  # a rounded router may choose another expert
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "alibi"])
def test_row_does_not_depend_on_its_batch_mates(kind):
    """In training too: dropout by the row's key, capacity of experts by row."""
    model = _model(kind, dropout=0.2)
    together = model.forward(INPUTS, KEY)
    rows = [{name: part[row : row + 1] for name, part in INPUTS.items()} for row in (0, 1)]
    alone = [model.forward(part, KEY[row : row + 1]) for row, part in enumerate(rows)]
    hidden = tf.concat([part.hidden for part in alone], axis=0)
    np.testing.assert_allclose(together.hidden, hidden, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together.router, sum(part.router for part in alone), rtol=1e-5)
    assert (together.router[2] > 0) == (kind == "alibi")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@pytest.mark.parametrize("kind", ["bert", "alibi"])
def test_keras_file_gives_the_model_back(tmp_path, kind):
    """`.save` and `load_model`, without telling Keras about our classes."""
    model = _build(kind)
    for weight in model.weights:
        weight.assign_add(RANDOM.normal(scale=0.1, size=weight.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))
