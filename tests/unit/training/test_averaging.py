"""The running mean of the weights: its formula, and where it is used."""

import numpy as np
import pytest

from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoints


@pytest.fixture(scope="module")
def trained(small):
    """A trainer after five steps, and its weights after each."""
    trainer = small.make_trainer(ema_decay=0.3)
    weights = [small.state(trainer)[: len(trainer.network.variables)]]
    for batch in range(5):
        small.fit(trainer, small.make_batches(5).skip(batch).take(1))
        weights.append(small.state(trainer)[: len(trainer.network.variables)])
    return trainer, weights


def test_the_mean_is_that_of_the_formula(trained):
    trainer, weights = trained
    means = [weight.astype("float64") for weight in weights[0]]
    for update, current in enumerate(weights[1:], start=1):
        decay = min(0.3, (1 + update) / (10 + update))
        means = [decay * mean + (1 - decay) * w for mean, w in zip(means, current, strict=True)]
    for average, mean in zip(trainer.average.averages, means, strict=True):
        np.testing.assert_allclose(average.numpy(), mean, rtol=1e-5, atol=1e-6)


def test_evaluate_judges_the_mean_and_leaves_every_bit_as_it_was(small, trained, tmp_path):
    trainer, _ = trained
    before = small.state(trainer)
    judged = trainer.evaluate(small.make_batches(2), return_dict=True, verbose=0)
    for old, new in zip(before, small.state(trainer), strict=True):
        np.testing.assert_array_equal(old, new)
    checkpoints.save(RunFolder(tmp_path).checkpoints, trainer, {})
    plain = small.make_network()
    checkpoints.load_network(RunFolder(tmp_path), plain)
    for variable, average in zip(plain.variables, trainer.average.averages, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
    alone = small.make_trainer(plain).evaluate(small.make_batches(2), return_dict=True, verbose=0)
    assert judged == alone
    last = small.make_trainer(trainer.network).evaluate(
        small.make_batches(2), return_dict=True, verbose=0
    )
    assert last["loss"] != judged["loss"]


def test_weights_come_back_when_the_work_with_the_mean_fails(small, trained):
    trainer, _ = trained
    before = small.state(trainer)
    with pytest.raises(RuntimeError), trainer.average.in_place():
        raise RuntimeError
    for old, new in zip(before, small.state(trainer), strict=True):
        np.testing.assert_array_equal(old, new)


def test_training_is_not_changed_by_it(small, trained):
    _, weights = trained
    plain = small.make_trainer()
    small.fit(plain, small.make_batches(5))
    for variable, weight in zip(plain.network.variables, weights[-1], strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight)
