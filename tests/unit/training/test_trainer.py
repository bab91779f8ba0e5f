"""The step of training and validation through plain `fit` and `evaluate`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from llm_keras import models
from llm_keras.errors import DivergedError
from llm_keras.parallel import rematerialization
from llm_keras.training.gradients import Learner
from llm_keras.training.trainer import Trainer


def fit(small, steps=6, network=None, **arguments):
    """Trains; returns the log of each step, and the trainer."""
    trainer = small.make_trainer(network, **arguments)
    return small.fit(trainer, small.make_batches(steps)), trainer


def weights(trainer):
    return np.concatenate([v.numpy().ravel() for v in trainer.network.trainable_variables])


@pytest.fixture(scope="module")
def traced(small):
    """A trainer for all tests that train in the plain way, and its first state."""
    trainer = small.make_trainer()
    return trainer, small.state(trainer)


@pytest.fixture
def trainer(small, traced):
    """The same, as new: tracing the step takes longer than a hundred steps."""
    trainer, first = traced
    for variable, value in zip(small.variables(trainer), first, strict=True):
        variable.assign(value)
    return trainer


@pytest.fixture(scope="module")
def one_batch(small, traced):
    """Six steps, whole batches at once."""
    trainer, first = traced
    values = small.fit(trainer, small.make_batches(6))
    result = weights(trainer)
    for variable, value in zip(small.variables(trainer), first, strict=True):
        variable.assign(value)
    return values, result


def numpy_targets(batch):
    same = batch["segments"][:, 1:] == batch["segments"][:, :-1]
    return batch["tokens"][:, 1:], same & (batch["segments"][:, 1:] != 0)


def numpy_cross_entropies(network, batch):
    """Cross-entropy of every predicted token, from the network's logits, in float64."""
    inputs = {name: batch[name][:, :-1] for name in ("tokens", "segments")}
    logits = network(inputs).numpy().astype("float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets, counted = numpy_targets(batch)
    return -np.take_along_axis(log_probabilities, targets[..., None], -1)[..., 0][counted]


def test_a_step_reports_loss_tokens_rate_and_norm(small):
    network = small.make_network(dropout=0.0)
    batch = next(small.make_batches(1).as_numpy_iterator())
    expected = numpy_cross_entropies(network, batch)
    values, trainer = fit(small, 1, network)
    assert values["loss"] == [pytest.approx(expected.mean(), rel=1e-6)]
    assert values["tokens"] == [len(expected)]
    assert values["learning_rate"] == [pytest.approx(1e-2 / 4)]
    assert trainer.step == 1


@pytest.mark.parametrize(
    "changes",
    [{"tie_embeddings": False}, {"output_logit_cap": 2.0}, {"mup_base_dim": 4}],
    ids=str,
)
def test_the_update_is_that_of_plain_autodiff(small, changes):
    """One step with SGD, without clipping: the weights move by the gradient of the mean loss."""
    network = small.make_network(dropout=0.0, **changes)
    batch = next(iter(small.make_batches(1)))
    targets, counted = numpy_targets({name: value.numpy() for name, value in batch.items()})
    with tf.GradientTape() as tape:
        logits = network({name: batch[name][:, :-1] for name in ("tokens", "segments")})
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        mean = tf.reduce_mean(losses[counted])
    gradients = tape.gradient(mean, [v.value for v in network.trainable_variables])
    expected = [
        v.numpy() - g.numpy() for v, g in zip(network.trainable_variables, gradients, strict=True)
    ]
    trainer = Trainer(network)
    trainer.compile(keras.optimizers.SGD(1.0))
    values = small.fit(trainer, small.make_batches(1))
    for variable, value in zip(network.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=1e-6, err_msg=variable.path)
    assert values["grad_norm"] == [pytest.approx(tf.linalg.global_norm(gradients).numpy())]


def test_micro_batches_learn_what_the_whole_batch_learns(small, one_batch):
    values, trainer = fit(small, gradient_accumulation_steps=4)
    np.testing.assert_allclose(values["loss"], one_batch[0]["loss"], rtol=1e-5)
    assert values["tokens"] == one_batch[0]["tokens"]
    assert len(set(values["tokens"])) == 1
    difference = np.linalg.norm(weights(trainer) - one_batch[1])
    assert difference <= 1e-5 * np.linalg.norm(one_batch[1])


@pytest.mark.parametrize("kind", ["attention", "block", "full"])
def test_recomputed_blocks_have_equal_gradients_with_dropout_on(small, one_batch, kind):
    network = small.make_network()
    network.run_blocks = rematerialization.around(network.run_blocks, kind)
    values, trainer = fit(small, network=network)
    np.testing.assert_allclose(values["loss"], one_batch[0]["loss"], rtol=1e-6)
    np.testing.assert_allclose(values["grad_norm"], one_batch[0]["grad_norm"], rtol=1e-6)
    np.testing.assert_allclose(weights(trainer), one_batch[1], atol=1e-6)


def test_the_same_seed_gives_the_same_losses_bit_for_bit(small, trainer, one_batch):
    assert small.fit(trainer, small.make_batches(6)) == one_batch[0]
    np.testing.assert_array_equal(weights(trainer), one_batch[1])


def test_the_dropout_key_is_made_of_seed_update_and_row(small, trainer):
    batch = {"tokens": np.zeros([3, 2], "int32"), "rows": np.array([7, 8, 2**31 + 9])}
    first = trainer._with_key(batch, trainer._update_key())
    assert "rows" not in first
    key = first["key"].numpy()
    assert key.dtype == "int32"
    assert key[:, 1].tolist() == [7, 8, 9]
    assert len(set(key[:, 0])) == 1
    trainer.optimizer.iterations.assign(1)
    assert trainer._with_key(batch, trainer._update_key())["key"].numpy()[0, 0] == key[0, 0] + 1
    other = Trainer(trainer.network, seed=6)
    other.compile("sgd")
    assert (
        abs(int(other._with_key(batch, other._update_key())["key"][0, 0]) - int(key[0, 0])) > 10**8
    )


def test_rows_are_numbered_within_the_batch_where_the_data_does_not(trainer):
    key = trainer._with_key({"tokens": np.zeros([3, 2], "int32")}, tf.constant(0, tf.int64))["key"]
    assert key[:, 1].numpy().tolist() == [0, 1, 2]


def test_evaluate_is_the_cross_entropy_of_every_token(small):
    """Over batches with different numbers of tokens; without smoothing, z-loss and dropout."""
    trainer = small.make_trainer(label_smoothing=0.3, z_loss=0.1)
    data = small.make_batches(3, seed=2, fewer_segments=True)
    batches = list(data.as_numpy_iterator())
    expected = [numpy_cross_entropies(trainer.network, batch) for batch in batches]
    assert len(expected[0]) != len(expected[1])
    result = trainer.evaluate(data, return_dict=True, verbose=0)
    assert result["loss"] == pytest.approx(np.concatenate(expected).mean(), rel=1e-6)
    assert result["tokens"] == sum(map(len, expected))


def test_smoothing_and_z_loss_count_in_training(small, one_batch):
    smooth, _ = fit(small, 1, label_smoothing=0.3, z_loss=0.1)
    assert smooth["loss"][0] > one_batch[0]["loss"][0] + 0.1


def test_nothing_is_updated_when_the_data_ends(small, trainer):
    """Keras counts one iteration more for an epoch whose end it learns from the data."""
    unknown = small.make_batches(3).filter(lambda batch: tf.constant(True))
    assert unknown.cardinality() == tf.data.UNKNOWN_CARDINALITY
    with pytest.warns(UserWarning, match="ran out of data"):
        small.fit(trainer, unknown)
    assert trainer.step == 3


def test_a_loss_that_is_not_finite_ends_training_before_the_update(small, trainer):
    small.fit(trainer, small.make_batches(2))
    embeddings = trainer.network.embedding.embeddings
    embeddings.assign(embeddings.value * np.float32("inf"))
    before = small.state(trainer)
    with pytest.raises(DivergedError, match="step 3: the loss or its gradient is not a finite"):
        small.fit(trainer, small.make_batches(2))
    for old, new in zip(before, small.state(trainer), strict=True):
        np.testing.assert_array_equal(old, new)


def test_other_failures_are_not_taken_for_it(small, trainer):
    """An id beyond the vocabulary."""
    data = small.make_batches(1).map(lambda batch: {**batch, "tokens": batch["tokens"] * 99})
    with pytest.raises(tf.errors.InvalidArgumentError):
        small.fit(trainer, data)


def test_the_step_is_traced_once(small, trainer, one_batch, monkeypatch):
    """However often `fit` is called: a second trace would fail."""
    small.fit(trainer, small.make_batches(2))
    monkeypatch.setattr(Learner, "accumulate", None)
    small.fit(trainer, small.make_batches(2))


def test_bfloat16_learns(small):
    network = small.make_network(dtype_policy="mixed_bfloat16")
    trainer = small.make_trainer(network)
    losses = small.fit(trainer, small.make_batches(1).repeat(20))["loss"]
    assert losses[-1] < losses[0] - 0.1
    assert {v.dtype for v in network.trainable_variables} == {"float32"}


def test_a_variable_without_influence_is_named(small):
    class Idle(models.CausalLM):
        """A network with a layer that nothing goes through."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.idle = keras.layers.Dense(2, name="idle")
            self.idle.build((None, 3))

    network = Idle(small.make_network().settings, small.VOCABULARY, small.LENGTH)
    network.build()
    with pytest.raises(ValueError, match="the loss does not depend on idle/kernel, idle/bias"):
        fit(small, 1, network)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
    ],
)
def test_an_optimizer_that_accumulates_or_scales_is_refused(small, optimizer):
    with pytest.raises(ValueError, match="Trainer sums micro-batches itself"):
        Trainer(small.make_network()).compile(optimizer)


def test_the_configuration_survives(small):
    trainer = Trainer(
        small.make_network(),
        seed=3,
        gradient_accumulation_steps=2,
        label_smoothing=0.1,
        z_loss=0.2,
    )
    again = Trainer.from_config(trainer.get_config())
    assert again.get_config() == trainer.get_config()


def test_predict_gives_the_logits_of_the_network(small, trainer):
    tokens = next(iter(small.make_batches(1)))["tokens"][:, :-1]
    predicted = trainer.predict({"tokens": tokens}, verbose=0)
    np.testing.assert_allclose(predicted, trainer.network({"tokens": tokens}), atol=1e-6)
