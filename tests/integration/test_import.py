"""A model from elsewhere becomes a run: judged, trained on and exported by the usual stages."""

import json

import numpy as np
import pytest

from llm_keras import config, interop, models, run_file, stages, tokenizers
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers.training import train
from llm_keras.training import checkpoints

SENTENCE = "It is the state of the Union, and the Union is in a good state."
SHAPE = {"num_layers": 1, "hidden_dim": 32, "intermediate_dim": 64, "num_query_heads": 4}
SMALL = [
    "records.sequence_length=16", "records.shards=1", "training.total_steps=2",
    "training.global_batch_size=2", "training.schedule.warmup_steps=1",
    "corpus.language=null", "corpus.length=null", "corpus.repetition=null", "corpus.shards=1",
    "corpus.validation_fraction=0.3",
]  # fmt: skip


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder in Hugging Face's layout, with more rows in its embedding than its tokenizer has."""
    tokenizer = tokenizers.load(train([SENTENCE] * 20, config.Tokenizer(vocabulary_size=280)))
    model = models.build_model(config.Model(**SHAPE), vocabulary_size=288, sequence_length=64)
    folder = tmp_path_factory.mktemp("elsewhere") / "small model"
    interop.export_folder(model, tokenizer, folder, config.Generation())
    return folder, model


@pytest.fixture
def imported(elsewhere, tmp_path):
    """The run of that model."""
    folder = RunFolder(tmp_path / "run")
    run = stages.import_model(elsewhere[0], folder, SMALL, None)
    return run, folder


def _weights(run, folder):
    network = models.build(run)
    checkpoints.load_network(folder, network)
    return network.get_weights()


def test_the_run_folder_is_complete(imported, elsewhere):
    """Settings, tokenizer and the weights as the checkpoint of step 0."""
    run, folder = imported
    assert run_file.load(folder.run_file) == run
    assert (run.tokenizer.kind, run.tokenizer.vocabulary_size) == ("imported", 288)
    assert run.serving.model_name == "small-model"
    assert tokenizers.load(folder.tokenizer_model).vocabulary_size == 280
    for ours, theirs in zip(_weights(run, folder), elsewhere[1].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_is_written_over_or_left(elsewhere, tmp_path):
    """A folder that is there is refused; a source that is none leaves nothing."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something").touch()
    with pytest.raises(UserError, match="is there already; give another --output"):
        stages.import_model(elsewhere[0], RunFolder(tmp_path / "run"), (), None)
    with pytest.raises(UserError, match=r"expected a Hugging Face folder, a \.gguf file or"):
        stages.import_model(tmp_path / "no", RunFolder(tmp_path / "new"), (), None)
    with pytest.raises(UserError, match=r"config\.json: missing"):
        stages.import_model(tmp_path / "run", RunFolder(tmp_path / "new"), (), None)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_without_a_corpus_the_stages_say_so(imported):
    """There is nothing to train on or to judge by until sources are listed."""
    run, folder = imported
    with pytest.raises(UserError, match=r"corpus\.sources: there are none, so nothing to train on"):
        stages.perform(stages.BY_NAME["curate"], run, folder)
    with pytest.raises(UserError, match="run `llm-keras tokenize` first"):
        stages.perform(stages.BY_NAME["evaluate"], run, folder)


@pytest.mark.parametrize("form", ["safetensors", "gguf"])
def test_weights_are_exported(imported, elsewhere, form):
    """And come back as they were, to float16's rounding in a GGUF file."""
    run, folder = imported
    written = stages.export_weights(run, folder, form)
    assert written == (folder.export_gguf if form == "gguf" else folder.export_safetensors)
    source = interop.open_source(written)
    back = interop.load_weights(source, interop.settings_of(source))
    for ours, theirs in zip(back.get_weights(), elsewhere[1].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3 if form == "gguf" else 0, atol=1e-7)


@pytest.mark.parametrize("lora", [False, True], ids=["all-weights", "lora-on-answers"])
def test_training_goes_on_from_the_imported_weights(imported, tmp_path, lora):
    """Plain text, or prompts and answers with LoRA: the imported tokenizer stays."""
    run, folder = imported
    lines = [{"text": f"{SENTENCE} {n}", "answer": f"Yes, {n}."} for n in range(30)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = f"{{name: pairs, kind: jsonl, path: {path}{', target_field: answer' if lora else ''}}}"
    changes = [f"corpus.sources=[{source}]"] + (["training.lora.rank=2"] if lora else [])
    run = run_file.load(folder.run_file, changes)
    before = folder.tokenizer_model.read_bytes()
    for name in ("curate", "tokenizer", "tokenize", "train"):
        stages.perform(stages.BY_NAME[name], run, folder)
    assert folder.tokenizer_model.read_bytes() == before
    network = models.build(run)
    assert checkpoints.load_network(folder, network) == 2
