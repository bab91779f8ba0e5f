"""Stages run when something changed and are skipped when nothing did."""

import json
from dataclasses import replace

import pytest

from llm_keras import run_file, stages
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder

SETTINGS = """
corpus:
  sources: [{name: letters, kind: text, path: letters}]
tokenizer: {vocabulary_size: 512}
records: {sequence_length: 64}
model: {num_layers: 2, hidden_dim: 64, intermediate_dim: 128, num_query_heads: 4}
training: {total_steps: 1000, global_batch_size: 8}
"""


@pytest.fixture
def run():
    return run_file.parse(SETTINGS, "run.yaml")


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.txt"
    path.write_text("as it was")
    return path


@pytest.fixture
def stage(source):
    """A stage of the real kind: copies one file, and its setting is the seed."""

    def copy(_run, folder):
        folder.corpus.mkdir(parents=True, exist_ok=True)
        folder.curation.write_bytes(source.read_bytes())

    return stages.Stage(
        "copy",
        copy,
        settings=lambda run: {"seed": run.seed},
        inputs=lambda _run, _folder: {"source": source.read_text()},
        outputs=lambda folder: [folder.curation],
    )


def test_a_stage_that_was_performed_is_finished(stage, run, folder):
    assert not stages.is_finished(stage, run, folder)
    stages.perform(stage, run, folder)
    assert stages.is_finished(stage, run, folder)
    assert run_file.load(folder.run_file) == run


def test_a_changed_setting_input_or_output_unfinishes_a_stage(stage, run, folder, source):
    stages.perform(stage, run, folder)
    assert not stages.is_finished(stage, run.model_copy(update={"seed": 5}), folder)
    folder.curation.write_text("cut")
    assert not stages.is_finished(stage, run, folder)
    stages.perform(stage, run, folder)
    source.write_text("changed")
    assert not stages.is_finished(stage, run, folder)


def test_a_lost_output_or_torn_record_unfinishes_a_stage(stage, run, folder):
    stages.perform(stage, run, folder)
    (folder.stages / "copy.json").write_text('{"inputs": ')
    assert not stages.is_finished(stage, run, folder)
    stages.perform(stage, run, folder)
    folder.curation.unlink()
    assert not stages.is_finished(stage, run, folder)


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("tokenizer", "curate"),
        ("tokenize", "curate"),
        ("train", "tokenize"),
        ("evaluate", "tokenize"),
        ("export", "tokenizer"),
    ],
)
def test_a_missing_input_names_the_stage_that_makes_it(name, maker, run, folder):
    with pytest.raises(UserError, match=f"is missing; run `llm-keras {maker}` first"):
        stages.perform(stages.BY_NAME[name], run, folder)
    assert not folder.root.exists()


def test_a_missing_checkpoint_names_train(run, folder):
    folder.corpus.mkdir(parents=True)
    folder.manifest.write_text("{}")
    with pytest.raises(UserError, match="run `llm-keras train` first"):
        stages.perform(stages.BY_NAME["evaluate"], run, folder)


def test_a_users_mistake_leaves_no_new_folder(stage, run, folder):
    with pytest.raises(UserError, match="not today"):
        stages.perform(replace(stage, perform=_refuse), run, folder)
    assert not folder.root.exists()


def test_a_users_mistake_leaves_the_settings_of_the_folder_alone(stage, run, folder):
    stages.perform(stage, run, folder)
    with pytest.raises(UserError, match="not today"):
        stages.perform(replace(stage, perform=_refuse), run.model_copy(update={"seed": 5}), folder)
    assert run_file.load(folder.run_file) == run
    assert not stages.is_finished(stage, run, folder)


def _refuse(_run, _folder):
    raise UserError("not today")


def test_the_record_names_inputs_settings_and_outputs(stage, run, folder):
    stages.perform(stage, run, folder)
    record = json.loads((folder.stages / "copy.json").read_text())
    assert record == {
        "inputs": {"source": "as it was"},
        "settings": {"seed": 0},
        "outputs": {"corpus/curation.json": 9},
    }
