"""Reading run files: what is right round-trips, what is wrong is one clear line."""

import re
from pathlib import Path

import pytest

from llm_keras import run_file
from llm_keras.config import Run
from llm_keras.errors import UserError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

GOOD = """
corpus:
  sources:
    - {name: letters, kind: text, path: letters}
tokenizer: {vocabulary_size: 512}
records: {sequence_length: 64}
model: {num_layers: 2, hidden_dim: 64, intermediate_dim: 128, num_query_heads: 4}
training: {total_steps: 1000, global_batch_size: 8}
"""


def mistake(text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        run_file.parse(text, "run.yaml", overrides)
    return str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_run_file_is_valid_and_survives_dumping(path):
    run = run_file.load(path)
    assert run_file.parse(run_file.dump(run), "dumped") == run


def test_the_shipped_run_files_are_there():
    assert {"quickstart", "small"} <= {path.stem for path in CONFIGS}


def test_an_override_changes_one_field_and_is_read_as_yaml():
    run = run_file.parse(GOOD, "run.yaml", ["training.total_steps=500", "corpus.language=null"])
    assert run.training.total_steps == 500
    assert run.corpus.language is None
    assert run.training.global_batch_size == 8


def test_an_override_may_open_a_section_that_the_file_left_out():
    run = run_file.parse(GOOD, "run.yaml", ["training.optimizer.learning_rate=1e-4"])
    assert run.training.optimizer.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.total_steps", "expected FIELD=VALUE"),
        ("=3", "expected FIELD=VALUE"),
        ("seed.deep=3", "unknown key|valid integer"),
        ("training.total_steps=[1", "not a YAML value"),
        ("training.total_stepz=3", "did you mean total_steps?"),
    ],
)
def test_a_wrong_override_says_what_it_expected(override, message):
    assert re.search(message, mistake(GOOD, override))


def test_an_unknown_key_names_the_nearest_known_one_and_its_line():
    message = mistake(GOOD.replace("{total_steps", "{total_step"))
    assert (
        "training.total_step: unknown key; did you mean total_steps? (run.yaml line 8)" in message
    )


def test_an_unknown_key_like_no_other_lists_what_is_known():
    assert "known here: purpose, seed, preset, corpus" in mistake(GOOD + "zzz: 1\n")


def test_an_unknown_key_in_a_list_entry_is_found():
    message = mistake(GOOD.replace("path: letters", "paht: letters"))
    assert "corpus.sources.0.paht: unknown key; did you mean path?" in message
    assert "corpus.sources.0.path: missing" in message


@pytest.mark.parametrize("value", ["no", "many", "1.5", "-3", "0"])
def test_a_wrong_type_or_range_names_the_field_and_the_value(value):
    message = mistake(GOOD.replace("total_steps: 1000", f"total_steps: {value}"))
    assert message.startswith("training.total_steps: ")
    assert "got" in message
    assert "line 8" in message


def test_parts_that_do_not_fit_say_both_numbers():
    message = mistake(GOOD, "model.num_query_heads=5")
    assert "hidden_dim 64 is not a multiple of num_query_heads 5" in message
    message = mistake(GOOD, "model.attention_block_length=48")
    assert "sequence_length 64 is not a multiple of model.attention_block_length 48" in message
    message = mistake(GOOD, "training.parallelism.data=3")
    assert "global_batch_size 8 is not a multiple of parallelism.data 3" in message
    message = mistake(GOOD, "tokenizer.vocabulary_size=100")
    assert "vocabulary_size 100 is below 261" in message


def test_a_python_object_tag_is_refused():
    assert "not valid YAML" in mistake("!!python/object/apply:os.system ['true']")


def test_an_alias_bomb_is_refused_before_it_grows():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n"
        for old, new in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert "more than 10000 values" in mistake(bomb)


def test_a_key_that_stands_twice_is_refused():
    assert "key seed stands twice" in mistake(GOOD + "seed: 1\nseed: 2\n")


@pytest.mark.parametrize("text", ["", "just words", "- a list"])
def test_a_file_that_is_no_mapping_is_refused(text):
    assert "expected sections" in mistake(text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such run file"):
        run_file.load(tmp_path / "none.yaml")


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as a UTF-8 run file"):
        run_file.load(path)


def test_every_field_is_described_with_its_path():
    lines = list(run_file.describe())
    assert any(
        line.startswith("training.optimizer.learning_rate (default 0.001)") for line in lines
    )
    assert any(line.startswith("corpus.sources.path (required)") for line in lines)
    assert len(lines) > len(Run.model_fields)
