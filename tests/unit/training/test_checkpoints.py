"""A training that is saved and restored goes on bit for bit; imported weights start one."""

import numpy as np
import pytest

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.training import checkpoint_files, checkpoints, lora, resume

WAYS = {
    "adamw": {},
    "adafactor": {"optimizer": {"kind": "adafactor"}},
    "lion": {"optimizer": {"kind": "lion"}},
    "muon": {"optimizer": {"kind": "muon"}},
    "lora and average": {"ema_decay": 0.9, "lora": True},
    "experts": {"network": {"experts": {"num_experts": 3}}},
}


def make(small, network=None, lora=None, **arguments):
    made = small.make_network(**(network or {}))
    if lora:
        add_lora(made)
    return small.make_trainer(made, **arguments)


def add_lora(network):
    lora.add(network, config.Lora(targets=("query", "up")), seed=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_restored_training_goes_on_bit_for_bit(small, way, tmp_path):
    trainer, again = make(small, **WAYS[way]), make(small, **WAYS[way])
    small.fit(trainer, small.make_batches(6).take(3))
    checkpoints.save(tmp_path, trainer, {})
    expected = small.fit(trainer, small.make_batches(6).skip(3))
    checkpoints.restore(checkpoint_files.newest(tmp_path)[0], again)
    assert small.fit(again, small.make_batches(6).skip(3)) == expected
    assert again.step == 6
    for old, new in zip(small.state(trainer), small.state(again), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path)
    folder.tokenizer_model.parent.mkdir()
    folder.tokenizer_model.write_bytes(b"a tokenizer")
    return folder


@pytest.mark.parametrize("adapted", [False, True])
def test_training_starts_from_imported_weights(small, folder, adapted):
    """With slots that are new, from step 0, and the average from these weights on."""
    source = small.make_network()
    for variable in source.variables:
        variable.assign(variable.value * 2.0)
    path = checkpoints.save_initial(folder, source, {"source": "elsewhere"})
    assert path.name == "step-00000000"
    initial = checkpoints.latest(folder.checkpoints)
    assert checkpoints.is_initial(initial)
    assert initial.manifest["source"] == "elsewhere"
    trainer = make(small, lora=adapted, ema_decay=0.9)
    checkpoints.restore(initial, trainer)
    own, added = lora.split(trainer.network.variables)
    assert bool(added) == adapted
    for variable, weight in zip(own, source.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight.numpy())
    for variable, mean in zip(trainer.trainable_variables, trainer.average.averages, strict=True):
        np.testing.assert_array_equal(variable.numpy(), mean.numpy())
    assert trainer.step == 0
    plain = small.make_network()
    assert checkpoints.load_network(folder, plain) == 0
    np.testing.assert_array_equal(plain.variables[0].numpy(), source.variables[0].numpy())


def test_weights_are_not_imported_over_a_training(small, folder):
    checkpoints.save_initial(folder, small.make_network(), {})
    with pytest.raises(UserError, match="has checkpoints already; choose another --output"):
        checkpoints.save_initial(folder, small.make_network(), {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.positions": "alibi"}, "model.positions was 'rotary' and is 'alibi'"),
        ({"model.rope_max_wavelength": 5e5}, "model.rope_max_wavelength was 10000.0 and is 500000"),
        ({"model.experts.num_experts": 2}, "model.experts was null and is set"),
    ],
)
def test_imported_weights_keep_their_model_and_tokenizer(small, folder, changes, message):
    network = small.make_network()
    saved = resume.initial_facts(network.settings, folder)
    now = {
        "settings": {**saved["settings"], "model.dropout": 0.5, "training.total_steps": 9},
        "data": {**saved["data"], "corpus": "c" * 64},
    }
    resume.check_initial(saved, now, folder.root)
    changed = {**now, "settings": {**now["settings"], **changes}}
    if "model.experts.num_experts" in changes:
        del changed["settings"]["model.experts"]
    with pytest.raises(UserError, match="imported for another model") as error:
        resume.check_initial(saved, changed, folder.root)
    assert message in str(error.value)
    other = {**now, "data": {"tokenizer": "e" * 64}}
    with pytest.raises(UserError, match="the tokenizer is another one"):
        resume.check_initial(saved, other, folder.root)
