"""Every choice of what is made again learns the same as keeping everything, with dropout on."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.parallel import rematerialization

CHOICES = [("attention", 1), ("block", 1), ("every_n", 2), ("full", 1)]
MODELS = {
    "causal_lm": {},
    "encoder_decoder": {"kind": "encoder_decoder", "num_encoder_layers": 3},
    "masked_lm": {"kind": "masked_lm"},
    "experts": {"experts": {"num_experts": 3, "capacity_factor": 1.0}},
}


def make(small, name):
    """Three blocks, so that groups are uneven, with learned biases in the mask."""
    network = small.make_network(num_layers=3, positions="relative", **MODELS[name])
    make = small.make_pairs if name == "encoder_decoder" else small.make_batches
    return small.make_trainer(network), make(1)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_equal_with_dropout_on(small, name):
    trainer, data = make(small, name)
    batch = trainer._with_key(next(iter(data)), trainer._update_key())
    network, plain = trainer.network, trainer.network.run_blocks

    differentiate = trainer.learner.differentiate  # not traced: that would take far longer
    expected = differentiate(batch)
    assert differentiate({**batch, "key": batch["key"] + 1}).loss != expected.loss
    for kind, blocks in CHOICES:
        network.run_blocks = rematerialization.around(plain, kind, blocks)
        found = differentiate(batch)
        assert found.loss == expected.loss
        for variable, ours, theirs in zip(
            network.trainable_variables, found.gradients, expected.gradients, strict=True
        ):
            scale = max(np.abs(theirs).max(), 1e-3)
            np.testing.assert_allclose(
                ours / scale, theirs / scale, atol=1e-5, err_msg=f"{kind}: {variable.path}"
            )


@pytest.mark.parametrize(
    ("kind", "blocks", "calls"),
    [("none", 1, 1), ("block", 1, 2), ("every_n", 3, 2), ("full", 1, 3)],
)
def test_blocks_run_as_often_as_they_are_made_again(kind, blocks, calls):
    runs = []

    def block(x, context, dropout_key):
        runs.append(int(dropout_key))
        return x * context["factor"], tf.zeros([3])

    def run_blocks(parts, x, context, dropout_key):
        for part in parts:
            x, sums = part(x, context, dropout_key)
        return x, sums

    run = rematerialization.around(run_blocks, kind, blocks)
    x, factor = tf.ones([1, 2, 2]), tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch([x, factor])
        y, _ = run([block] * 7, x, {"factor": factor}, tf.constant(5))
    by_x, by_factor = tape.gradient(y, [x, factor])
    assert runs == [5] * 7 * calls
    np.testing.assert_allclose(by_x, np.full([1, 2, 2], 3.0**7))
    np.testing.assert_allclose(by_factor, 4 * 7 * 3.0**6)
