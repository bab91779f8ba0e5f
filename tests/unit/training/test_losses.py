"""Token losses against NumPy, and the blocked gradient against plain autodiff."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.training import losses
from llm_keras.training.losses import Head, TokenLoss

N, D, V = 23, 7, 11

SETTINGS = [
    TokenLoss(),
    TokenLoss(label_smoothing=0.1),
    TokenLoss(z_loss=1e-2),
    TokenLoss(0.2, 0.1),
]


@pytest.fixture
def example():
    """hidden [N, D], matrix [D, V], targets [N], weights [N] with some zeros."""
    random = np.random.default_rng(0)
    return (
        random.normal(size=(N, D)).astype("float32"),
        random.normal(size=(D, V)).astype("float32"),
        random.integers(0, V, N).astype("int32"),
        (random.random(N) < 0.7).astype("float32"),
    )


def numpy_losses(loss, logits, targets):
    """The class's equation in float64."""
    logits = logits.astype("float64")
    log_sum = np.log(np.exp(logits).sum(-1))
    target = np.take_along_axis(logits, targets[:, None], -1)[:, 0]
    spread = (log_sum[:, None] - logits).mean(-1)
    s = loss.label_smoothing
    return (1 - s) * (log_sum - target) + s * spread + loss.z_loss * log_sum**2


def numpy_gradients(loss, hidden, matrix, targets, weights):
    """The gradient of the weighted sum, derived by hand, in float64."""
    hidden, matrix = hidden.astype("float64"), matrix.astype("float64")
    logits = hidden @ matrix
    log_sum = np.log(np.exp(logits).sum(-1, keepdims=True))
    softmax = np.exp(logits - log_sum)
    smooth = (1 - loss.label_smoothing) * np.eye(V)[targets] + loss.label_smoothing / V
    by_logits = (softmax * (1 + 2 * loss.z_loss * log_sum) - smooth) * weights[:, None]
    return by_logits @ matrix.T, hidden.T @ by_logits


@pytest.mark.parametrize("loss", SETTINGS, ids=str)
def test_the_loss_of_a_token_is_that_of_numpy(loss, example):
    hidden, matrix, targets, _ = example
    ours = loss(tf.constant(hidden @ matrix), tf.constant(targets))
    np.testing.assert_allclose(ours, numpy_losses(loss, hidden @ matrix, targets), rtol=1e-6)


def test_huge_logits_stay_finite():
    logits, targets = tf.constant([[1e4, -1e4, 0.0]]), tf.constant([1])
    loss = TokenLoss(0.1, 1e-4)
    total, gradient = loss.sum_and_gradient(logits, targets, tf.constant([1.0]))
    assert total.numpy() == pytest.approx(loss(logits, targets).numpy()[0])
    assert np.isfinite(gradient.numpy()).all()


def test_a_model_that_is_nearly_sure_has_a_small_loss_not_a_rounded_one():
    logits, targets = tf.constant([[105.0, 100.0], [0.0, 40.0]]), tf.constant([0, 1])
    total, gradient = TokenLoss().sum_and_gradient(logits, targets, tf.ones(2))
    assert total.numpy() == pytest.approx(np.log1p(np.exp(-5)), rel=1e-5)
    np.testing.assert_allclose(gradient, [[-0.0066929, 0.0066929], [0, 0]], atol=2e-7)


@pytest.mark.parametrize("tokens_per_block", [N, 8], ids=lambda n: f"{n} tokens a block")
@pytest.mark.parametrize("loss", SETTINGS[::3], ids=str)
@pytest.mark.parametrize("size_known", [True, False])
def test_blocked_loss_and_gradient_are_those_of_numpy_and_autodiff(
    loss, tokens_per_block, size_known, example, monkeypatch
):
    hidden, matrix, targets, weights = example
    monkeypatch.setattr(losses, "LOGITS_PER_BLOCK", 0)
    monkeypatch.setattr(losses, "LEAST_TOKENS", tokens_per_block)
    kernel = tf.Variable(matrix)
    head = Head(lambda x: x @ kernel, [kernel], V)
    rows = N if size_known else None

    @tf.function(
        input_signature=[
            tf.TensorSpec([rows, D]),
            tf.TensorSpec([rows], tf.int32),
            tf.TensorSpec([rows]),
        ]
    )
    def blocked(*tokens):
        total, by_hidden, by_kernel = losses.loss_sum_and_gradients(loss, head, *tokens)
        return total, losses.loss_sum(loss, head, *tokens), by_hidden, by_kernel[0]

    total, total_alone, by_hidden, by_kernel = blocked(hidden, targets, weights)

    expected = numpy_losses(loss, hidden @ matrix, targets) @ weights
    np.testing.assert_allclose([total, total_alone], expected, rtol=1e-6)
    oracle = numpy_gradients(loss, hidden, matrix, targets, weights)
    np.testing.assert_allclose(by_hidden, oracle[0], atol=2e-6)
    np.testing.assert_allclose(by_kernel, oracle[1], rtol=1e-5, atol=5e-6)
    with tf.GradientTape() as tape:
        x = tf.constant(hidden)
        tape.watch(x)
        whole = tf.reduce_sum(loss(x @ kernel, targets) * weights)
    plain = tape.gradient(whole, [x, kernel])
    np.testing.assert_allclose(by_hidden, plain[0], atol=1e-6)
    np.testing.assert_allclose(by_kernel, plain[1], atol=5e-6)


@pytest.mark.parametrize("loss", SETTINGS, ids=str)
def test_the_blocked_gradient_of_the_mean_loss_is_that_of_autodiff_within_1e_6(
    loss, example, monkeypatch
):
    """Token weights, smoothing, z-loss and a cap of the logits, of all values together."""
    monkeypatch.setattr(losses, "LOGITS_PER_BLOCK", 0)
    monkeypatch.setattr(losses, "LEAST_TOKENS", 5)
    hidden, matrix, targets, weights = map(tf.constant, example)
    kernel, count = tf.Variable(matrix), tf.reduce_sum(weights)

    def capped(x):
        return 3.0 * tf.tanh(x @ kernel / 3.0)

    with tf.GradientTape() as tape:
        tape.watch(hidden)
        mean = tf.reduce_sum(loss(capped(hidden), targets) * weights) / count
    plain = tape.gradient(mean, [hidden, kernel])
    head = Head(capped, [kernel], V)
    _, by_hidden, by_kernel = losses.loss_sum_and_gradients(loss, head, hidden, targets, weights)
    np.testing.assert_allclose(by_hidden / count, plain[0], atol=1e-6)
    np.testing.assert_allclose(by_kernel[0] / count, plain[1], atol=1e-6)


def test_one_block_of_logits_is_held_at_a_time(example, monkeypatch):
    """The largest tensor in the graph that has the vocabulary as an axis is one block."""
    hidden, matrix, targets, weights = map(tf.constant, example)
    monkeypatch.setattr(losses, "LOGITS_PER_BLOCK", 8 * V)
    monkeypatch.setattr(losses, "LEAST_TOKENS", 1)
    kernel = tf.Variable(matrix)
    head = Head(lambda x: x @ kernel, [kernel], V)
    graph = tf.function(
        lambda: losses.loss_sum_and_gradients(TokenLoss(), head, hidden, targets, weights)
    ).get_concrete_function()
    functions = [
        graph.graph,
        *(graph.graph._functions[name].graph for name in graph.graph._functions),
    ]
    rows = {
        output.shape[0]
        for function in functions
        for operation in function.get_operations()
        for output in operation.outputs
        if output.shape.rank == 2 and output.shape[1] == V
    }
    assert rows == {8, D}


def test_what_counts_as_a_prediction():
    """Padding, and the first token of the next document, are not predicted."""
    tokens = tf.constant([[2, 7, 3, 2, 9, 0, 0]])
    segments = tf.constant([[1, 1, 1, 2, 2, 0, 0]])
    inputs, targets, weights = losses.predictions(tokens, segments)
    assert inputs.numpy().tolist() == [[2, 7, 3, 2, 9, 0]]
    assert targets.numpy().tolist() == [[7, 3, 2, 9, 0, 0]]
    assert weights.numpy().tolist() == [[1, 1, 0, 1, 0, 0]]


def test_without_segments_every_token_counts():
    _, _, weights = losses.predictions(tf.constant([[2, 7, 3]]), None)
    assert weights.numpy().tolist() == [[1, 1]]
