"""An export is a whole version or nothing."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from llm_keras import config, models
from llm_keras.errors import UserError
from llm_keras.export import UnservableModelError, export_saved_model, linter, saved_model
from llm_keras.export.saved_model import in_float32

#: Runs in a process of its own: an export that is killed at the given moment. Making the graph is
#: the slow part and is replaced by a copy of one made before.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from llm_keras import config, models
from llm_keras.export import export_saved_model, saved_model

moment, tokenizer, destination, made = sys.argv[1], *map(Path, sys.argv[2:])

def die(*_):
    print("dying", moment, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def write(folder, *_):
    shutil.copytree(made, folder, dirs_exist_ok=True, ignore=lambda *_: {"assets.extra"})

def write_half(folder, *_):
    shutil.copy(made / "saved_model.pb", folder)
    die()

saved_model._write = write_half if moment == "writing" else write
if moment == "syncing":
    saved_model._sync = die
if moment == "renaming":
    Path.rename = die
shape = config.Model(num_layers=1, hidden_dim=8, intermediate_dim=8, num_query_heads=1)
network = models.build_model(shape, vocabulary_size=512, sequence_length=8)
export_saved_model(network, tokenizer, destination, config.Generation())
"""


@pytest.fixture
def copying(exported, monkeypatch):
    """Exports that copy the graph of `exported` instead of making one."""

    def write(folder, *_):
        ignore = shutil.ignore_patterns("assets.extra")
        shutil.copytree(exported, folder, dirs_exist_ok=True, ignore=ignore)

    monkeypatch.setattr(saved_model, "_write", write)


def versions(destination):
    """Names that a server would look at."""
    return sorted(path.name for path in destination.iterdir() if path.name.isdigit())


def test_a_version_holds_model_tokenizer_and_facts(exported, network, tokenizer, settings):
    """The tokenizer's file as it was; JSON that says what the model is."""
    assert exported.name == "1"
    assert (exported / "assets" / "tokenizer.model").read_bytes() == tokenizer.model
    about = json.loads((exported / "assets.extra" / "llm_keras.json").read_text())
    assert about["parameters"] == network.count_params()
    assert about["context_length"] == 40
    assert about["vocabulary_size"] == 512
    assert about["tokenizer_sha256"] == hashlib.sha256(tokenizer.model).hexdigest()
    assert about["generation"] == settings.model_dump(mode="json")
    assert (about["step"], about["purpose"]) == (7, "a test")
    assert about["model"]["hidden_dim"] == 32


def test_weights_are_saved_once_and_as_float32(exported, network):
    """The data file is the parameters' size plus little, and the graph holds no copy of them."""
    size = 4 * network.count_params()
    (data,) = (exported / "variables").glob("*.data*")
    assert size < data.stat().st_size < size + 20_000
    model = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [node for function in graph.library.function for node in function.node_def]
    constants = [node.ByteSize() for node in [*nodes, *graph.node] if node.op == "Const"]
    assert max(constants) < 20_000 < size


def test_versions_count_up(network, tokenizer_model, settings, tmp_path, copying):
    """The next number after the largest; names that are no numbers do not count."""
    for name in ("007", "2", "notes", "9.old"):
        (tmp_path / name).mkdir()
    made = export_saved_model(network, tokenizer_model, tmp_path, settings)
    assert made == tmp_path / "8"
    assert export_saved_model(network, tokenizer_model, tmp_path, settings).name == "9"


def test_warm_up_requests_are_answered(exported, loaded):
    """Every record runs on the exported model: a server would load it."""
    from llm_keras.export import warmup

    requests = warmup.requests("causal_lm", context_length=40)
    assert set(requests) == set(loaded.signatures)
    assert (exported / "assets.extra" / warmup.FILE_NAME).stat().st_size > 500
    for name, inputs in requests.items():
        outputs = loaded.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        assert all(len(value) == 1 for value in outputs.values())


@pytest.mark.parametrize("moment", ["writing", "syncing", "renaming"])
def test_a_killed_export_leaves_no_version(
    moment, exported, network, tokenizer_model, settings, tmp_path, copying
):
    """kill -9 in the middle: nothing a server would load, and the next export is version 1."""
    child = subprocess.run(
        [sys.executable, "-c", KILLED, moment, tokenizer_model, tmp_path, exported],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout == f"dying {moment}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["incomplete-export"]
    assert (tmp_path / "incomplete-export" / "saved_model.pb").exists()
    assert export_saved_model(network, tokenizer_model, tmp_path, settings).name == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_failed_export_leaves_nothing(
    network, tokenizer_model, settings, tmp_path, copying, monkeypatch
):
    """What the linter refuses is not there afterwards, and earlier versions stay."""
    (tmp_path / "3").mkdir()
    monkeypatch.setitem(linter.FORBIDDEN_OPS, "MatMul", "multiplies")
    with pytest.raises(UnservableModelError, match="op MatMul: multiplies"):
        export_saved_model(network, tokenizer_model, tmp_path, settings)
    assert [path.name for path in tmp_path.iterdir()] == ["3"]


def test_refuses_a_tokenizer_of_another_size(tokenizer_model, settings, tmp_path):
    """Both numbers are in the message."""
    shape = config.Model(num_layers=1, hidden_dim=8, intermediate_dim=8, num_query_heads=1)
    other = models.build_model(shape, vocabulary_size=500, sequence_length=8)
    with pytest.raises(UserError) as error:
        export_saved_model(other, tokenizer_model, tmp_path / "export", settings)
    assert str(error.value) == (
        "the tokenizer has 512 pieces, but the model was made for 500; export with the tokenizer"
        " it was trained with"
    )
    assert not (tmp_path / "export").exists()


def test_refuses_weights_that_are_no_numbers(tokenizer_model, settings, tmp_path):
    """A diverged model is named by its weight."""
    shape = config.Model(num_layers=1, hidden_dim=8, intermediate_dim=8, num_query_heads=1)
    network = models.build_model(shape, vocabulary_size=512, sequence_length=8)
    weight = network.weights[-1]
    weight.assign(np.full(weight.shape, np.nan))
    with pytest.raises(UserError, match=f"weight {weight.path} holds NaN or infinity"):
        export_saved_model(network, tokenizer_model, tmp_path, settings)


def test_a_model_trained_in_bfloat16_computes_in_float32(network):
    """The twin has the same weights and the logits of a float32 model, not of a bfloat16 one."""
    mixed = models.build_model(
        network.settings,
        vocabulary_size=512,
        sequence_length=40,
        dtype_policy="mixed_bfloat16",
    )
    mixed.set_weights(network.get_weights())
    tokens = {"tokens": np.arange(30, dtype="int32")[None]}
    expected, rough = network(tokens).numpy(), mixed(tokens).numpy()
    assert np.abs(rough - expected).max() > 1e-3
    np.testing.assert_allclose(in_float32(mixed)(tokens), expected, atol=1e-6)
    assert in_float32(network) is network
