"""Steps whose norms, activations, softmax, loss and updates are compiled."""

import numpy as np

from llm_keras import fusion
from llm_keras.parallel.rematerialization import around


def losses_and_weights(small, policy="float32", fused=True, **changes):
    network = small.make_network(policy, **changes)
    network.run_blocks = around(network.run_blocks, "block")
    trainer = small.make_trainer(network, gradient_accumulation_steps=2)
    assert trainer.engine.fuses  # one device
    trainer.engine.fuses = fused
    history = trainer.fit(small.make_batches(4), shuffle=False, verbose=0)
    loss = trainer.evaluate(small.make_batches(2), verbose=0, return_dict=True)["loss"]
    weights = [variable.numpy() for variable in trainer.trainable_variables]
    return [*history.history["loss"], loss], weights


def test_compiled_steps_learn_the_same(small, monkeypatch):
    changes = {"activation": "gelu_tanh", "normalization": "layer_norm", "qk_norm": True}
    changes |= {"attention_logit_cap": 5.0, "positions": "alibi"}
    monkeypatch.setattr(fusion, "LEAST_NUMBERS", 1)
    plain, plain_weights = losses_and_weights(small, fused=False, **changes)
    fused, weights = losses_and_weights(small, **changes)
    np.testing.assert_allclose(fused, plain, rtol=1e-5)
    for one, other in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_so_they_do_in_bfloat16(small, monkeypatch):
    monkeypatch.setattr(fusion, "LEAST_NUMBERS", 1)
    plain, _ = losses_and_weights(small, "mixed_bfloat16", fused=False)
    fused, _ = losses_and_weights(small, "mixed_bfloat16")
    np.testing.assert_allclose(fused, plain, rtol=5e-3)
