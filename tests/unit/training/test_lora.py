"""Low-rank adaptation: what is added, what is trained, and that it merges into the kernels."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import rematerialization
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, checkpoints, lora

SETTINGS = config.Lora(rank=3, alpha=6.0, targets=("query", "value", "down"))


@pytest.fixture(scope="module")
def adapted(small):
    """A trainer of the added matrices after six steps, with the logits and weights of before."""
    network = small.make_network(num_layers=2, dropout=0.0)
    inputs = {"tokens": tf.constant([[5, 9, 7, 30]])}
    before = network(inputs).numpy(), [v.numpy() for v in network.variables]
    lora.add(network, SETTINGS, seed=1)
    at_first = network(inputs).numpy()
    trainer = small.make_trainer(network, learning_rate=0.05, ema_decay=0.9)
    values = small.fit(trainer, small.make_batches(1).repeat(6))
    return trainer, inputs, before, at_first, values


def test_the_first_step_starts_from_the_very_logits_of_the_base(adapted):
    _, _, (logits, _), at_first, _ = adapted
    np.testing.assert_array_equal(at_first, logits)


def test_only_the_added_matrices_are_trained_and_have_slots(adapted):
    trainer, _, (_, weights), _, values = adapted
    assert values["loss"][-1] < values["loss"][0]
    own, added = lora.split(trainer.network.variables)
    for variable, weight in zip(own, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight, err_msg=variable.path)
    shapes = [tuple(variable.shape) for variable in added]
    assert shapes == [(16, 3), (3, 16), (16, 3), (3, 16), (32, 3), (3, 16)] * 2
    assert trainer.trainable_variables == added
    assert len(trainer.optimizer.variables) == 1 + 2 * len(added)
    assert all(np.abs(variable.numpy()).max() > 0 for variable in added)


def test_the_addition_is_that_of_the_paper(adapted):
    """h = W x + alpha / rank * B A x, section 4.1, of the layer itself."""
    trainer = adapted[0]
    layer = trainer.network.blocks[1].attention.query
    x = np.random.default_rng(0).normal(size=(4, 16)).astype("float32")
    weight, inner, outer = (
        v.numpy().astype("float64")
        for v in (layer.kernel, layer.lora_kernel_a, layer.lora_kernel_b)
    )
    expected = x @ weight + 6.0 / 3 * (x @ inner @ outer)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_merged_kernels_give_the_same_logits(small, adapted, tmp_path):
    """Through a checkpoint; it holds averages too, so they are what the base is given."""
    trainer, inputs, *_ = adapted
    facts = {"settings": {"training.lora.alpha": SETTINGS.alpha}}
    checkpoints.save(RunFolder(tmp_path).checkpoints, trainer, facts)
    plain = small.make_network(num_layers=2, dropout=0.0)
    assert checkpoints.load_network(RunFolder(tmp_path), plain) == 6
    with trainer.average.in_place():
        expected = trainer.network(inputs).numpy()
    assert np.abs(trainer.network(inputs) - expected).max() > 1e-3
    np.testing.assert_allclose(plain(inputs), expected, atol=1e-5)
    saved = checkpoint_files.newest(RunFolder(tmp_path).checkpoints)[0]
    assert len(saved.tensors("lora")) == len(saved.tensors("average")) == 12


def test_the_draw_depends_on_seed_and_path(small):
    drawn = []
    for seed in (1, 1, 2):
        network = small.make_network()
        lora.add(network, SETTINGS, seed)
        drawn.append([v.numpy() for v in lora.split(network.variables)[1]])
    for first, again, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, again)
        assert not first.any() or np.abs(first - other).max() > 0.01
    assert np.abs(drawn[0][0] - drawn[0][2]).max() > 0.01


@pytest.mark.parametrize("kind", ["encoder_decoder", "masked_lm"])
def test_blocks_of_all_kinds_take_it(small, kind):
    network = small.make_network(kind=kind)
    lora.add(network, SETTINGS, seed=1)
    added = [variable.path for variable in lora.split(network.variables)[1]]
    assert any("cross_attention/query" in path for path in added) == (kind == "encoder_decoder")
    make = small.make_pairs if kind == "encoder_decoder" else small.make_batches
    trainer = small.make_trainer(network, learning_rate=0.05)
    losses = small.fit(trainer, make(1).repeat(4))["loss"]
    assert losses[-1] < losses[0] or kind == "masked_lm"
    assert all(np.isfinite(losses))


def test_recomputed_blocks_and_bfloat16_take_it(small):
    losses = {}
    for name, policy in (("plain", "float32"), ("recomputed", "float32"), ("16", "mixed_bfloat16")):
        network = small.make_network(policy)
        lora.add(network, SETTINGS, seed=1)
        if name == "recomputed":
            network.run_blocks = rematerialization.around(network.run_blocks, "block")
        trainer = small.make_trainer(network, learning_rate=0.05)
        losses[name] = small.fit(trainer, small.make_batches(1).repeat(5))["loss"]
    np.testing.assert_allclose(losses["recomputed"], losses["plain"], rtol=1e-6)
    np.testing.assert_allclose(losses["16"], losses["plain"], rtol=2e-2)


@pytest.mark.parametrize(
    ("changes", "targets", "named"),
    [
        ({"activation": "gelu"}, ("query", "gate"), "gate"),
        ({"experts": {"num_experts": 2}}, ("down",), "down"),
    ],
)
def test_a_target_that_no_block_has_is_named(small, changes, targets, named):
    network = small.make_network(**changes)
    with pytest.raises(UserError, match=f"training.lora.targets: {named} is a matrix in no block"):
        lora.add(network, config.Lora(targets=targets), seed=1)
