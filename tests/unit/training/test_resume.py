"""What may change between two starts of a training, and what may not."""

import copy
from pathlib import Path

import pytest

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.training import resume

PATH = Path("checkpoints/step-00000200")


class Manifest:
    """As much of a corpus manifest as is looked at."""

    fingerprint = "c" * 64
    tokenizer_sha256 = "d" * 64


def facts(**changes):
    settings = {
        "corpus": {"sources": [{"name": "a", "kind": "text", "path": "b"}]},
        "tokenizer": {"vocabulary_size": 300},
        "records": {"sequence_length": 16},
        "model": {"num_layers": 2, "hidden_dim": 8, "intermediate_dim": 8, "num_query_heads": 2},
        "training": {"total_steps": 400, "global_batch_size": 8},
    }
    for name, value in changes.items():
        *sections, field = name.split("__")
        section = settings
        for key in sections:
            section = section.setdefault(key, {})
        section[field] = value
    run = config.Run.model_validate(settings)
    return resume.facts(run, Manifest(), {"intra_op": 2, "inter_op": 2})


CHANGED = {
    "seed": (1, "seed was 0 and is 1"),
    "model__num_layers": (3, "model.num_layers was 2 and is 3"),
    "model__dropout": (0.1, "model.dropout was 0.0 and is 0.1"),
    "records__sequence_length": (32, "records.sequence_length was 16 and is 32"),
    "training__global_batch_size": (16, "training.global_batch_size was 8 and is 16"),
    "training__total_steps": (500, "training.total_steps was 400 and is 500"),
    "training__precision": ("bfloat16", "training.precision was 'float32' and is 'bfloat16'"),
    "training__optimizer__learning_rate": (
        0.5,
        "training.optimizer.learning_rate was 0.001 and is 0.5",
    ),
    "training__schedule__warmup_steps": (7, "training.schedule.warmup_steps was 100 and is 7"),
}


@pytest.mark.parametrize("field", CHANGED)
def test_a_setting_that_changes_the_losses_is_named_with_old_and_new(field):
    value, message = CHANGED[field]
    with pytest.raises(UserError, match="cannot be continued") as error:
        resume.check(facts(), facts(**{field: value}), PATH)
    assert message in str(error.value)
    assert "--output" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("training__lora", {"rank": 4}), ("model__experts", {"num_experts": 4})],
)
def test_a_section_that_comes_or_goes_is_named(field, value):
    name = field.replace("__", ".")
    with pytest.raises(UserError, match=f"{name} was null and is set"):
        resume.check(facts(), facts(**{field: value}), PATH)
    with pytest.raises(UserError, match=f"{name} was set and is null"):
        resume.check(facts(**{field: value}), facts(), PATH)


def test_all_changes_are_named_at_once():
    with pytest.raises(UserError) as error:
        resume.check(facts(), facts(seed=1, model__num_layers=3), PATH)
    assert "seed was 0 and is 1; model.num_layers was 2 and is 3" in str(error.value)


@pytest.mark.parametrize("name", ["tokenizer", "corpus"])
def test_other_data_is_refused(name):
    now = copy.deepcopy(facts())
    now["data"][name] = "e" * 64
    with pytest.raises(UserError, match=f"the {name} was .* and is eeeeeeeeeeee"):
        resume.check(facts(), now, PATH)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("training__validate_every_steps", 7),
        ("training__keep_checkpoints", 9),
        ("training__rematerialization", "block"),
        ("training__parallelism__data", 4),
        ("training__gradient_accumulation_steps", 2),
        ("model__attention_block_length", 8),
        ("evaluation__batch_size", 3),
    ],
)
def test_a_setting_that_only_changes_how_may_change(field, value):
    resume.check(facts(), facts(**{field: value}), PATH)


def test_batches_of_pairs_depend_on_how_they_are_cut():
    """Two replicas in place of two micro-batches leave them as they are; four of them do not."""
    pairs = {"corpus__sources": (), "model__kind": "encoder_decoder"}
    saved = facts(**pairs, training__gradient_accumulation_steps=2)
    resume.check(saved, facts(**pairs, training__parallelism__data=2), PATH)
    with pytest.raises(UserError, match="gradient_accumulation_steps was 2 and is 4"):
        resume.check(saved, facts(**pairs, training__parallelism__data=4), PATH)


def test_every_setting_that_may_change_exists():
    assert facts()["settings"].keys() >= resume.MAY_CHANGE


def test_a_field_of_a_later_version_keeps_what_was():
    saved = copy.deepcopy(facts())
    del saved["settings"]["training.z_loss"]
    resume.check(saved, facts(), PATH)


def test_other_threads_and_versions_are_only_warned_of(capfd):
    saved = copy.deepcopy(facts())
    saved["threads"]["intra_op"] = 8
    resume.check(saved, facts(), PATH)
    warning = capfd.readouterr().err
    assert "intra_op 8 (now 2)" in warning
    assert warning.startswith("warning: ")


def test_a_missing_tokenizer_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="missing; run `llm-keras tokenizer` first"):
        resume.file_sha256(tmp_path / "tokenizer.model")
