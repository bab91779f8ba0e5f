"""The command line as a user meets it: real processes, exit codes, one line for a mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart.yaml"
COMMANDS = (
    *("run", "plan", "curate", "tokenizer", "tokenize", "train", "evaluate", "export"),
    *("launch", "serve", "generate", "inspect", "config", "report"),
)


def llm_keras(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "llm_keras", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_help_names_every_command_and_the_exit_codes():
    result = llm_keras("--help")
    assert result.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in result.stdout
    assert "2 a mistake in what was given" in " ".join(result.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = llm_keras(command, "--help")
    assert result.returncode == 0
    assert "Usage:" in result.stdout


def test_importing_the_package_and_its_command_line_loads_nothing_heavy():
    code = (
        "import sys, llm_keras, llm_keras.cli, llm_keras.stages\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'numpy', 'matplotlib', 'sentencepiece'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_config_show_prints_complete_settings_with_overrides():
    result = llm_keras("config", "show", QUICKSTART, "--set", "training.total_steps=50",
                       "--set", "training.schedule.warmup_steps=5")  # fmt: skip
    settings = yaml.safe_load(result.stdout)
    assert settings["training"]["total_steps"] == 50
    assert settings["training"]["optimizer"]["beta_2"] == 0.95


def test_config_schema_is_a_json_schema_and_has_a_form_to_read():
    schema = yaml.safe_load(llm_keras("config", "schema").stdout)
    assert schema["properties"]["training"]["$ref"] == "#/$defs/Training"
    assert (
        "training.total_steps (required)"
        in llm_keras("config", "schema", "--format", "text").stdout
    )


def settings_with(tmp_path, **corpus):
    settings = yaml.safe_load(QUICKSTART.read_text())
    settings["corpus"]["sources"][0].update(corpus)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.yaml"], "none.yaml: no such run file"),
        (["plan", QUICKSTART, "--set", "training.total_stepz=5"], "did you mean total_steps?"),
        (["config", "show", QUICKSTART, "--set", "seed=high"], "seed: "),
        (["tokenizer", QUICKSTART, "--output", "out"], "run `llm-keras curate` first"),
        (["tokenize", QUICKSTART, "--output", "out"], "run `llm-keras curate` first"),
        (["train", QUICKSTART, "--output", "out"], "run `llm-keras tokenize` first"),
        (["train", QUICKSTART, "--profile", "3"], "--profile: expected two steps as 3-7, got '3'"),
        (["train", QUICKSTART, "--profile", "7-3"], "profile_steps 7 to 3"),
        (["evaluate", QUICKSTART, "--output", "out"], "run `llm-keras tokenize` first"),
        (["export", QUICKSTART, "--output", "out"], "run `llm-keras tokenizer` first"),
        (["serve", QUICKSTART, "--output", "out"], "run `llm-keras export"),
        (["inspect", "nowhere"], "nowhere"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_exit_code_2_and_leaves_nothing(arguments, message, tmp_path):
    result = llm_keras(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, []], ids=["missing", "empty"])
def test_a_missing_or_empty_corpus_folder_is_one_line_and_leaves_nothing(content, tmp_path):
    corpus = tmp_path / "corpus"
    if content is not None:
        corpus.mkdir()
    run = settings_with(tmp_path, path=str(corpus))
    result = llm_keras("run", run, "--output", tmp_path / "out")
    assert result.returncode == 2
    assert str(corpus) in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    result = llm_keras("train", tmp_path)
    assert result.returncode == 2
    assert "no run.yaml in it" in result.stderr


def test_a_wrong_option_is_exit_code_2():
    assert llm_keras("run", "--frobnicate").returncode == 2
