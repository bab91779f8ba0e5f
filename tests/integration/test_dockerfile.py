"""The Dockerfile and the deployment files, as far as they can be checked without Docker."""

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

ROOT = Path(__file__).parents[2]
TF_SERVING = ROOT / "serving" / "tf_serving"


def instructions():
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def stages():
    """Stage name -> its base image and instructions, in order."""
    found = {}
    for instruction, arguments in instructions():
        if instruction == "FROM":
            base, _, name = arguments.split()
            found[name] = (base, [])
        else:
            found[name][1].append((instruction, arguments))
    return found


def copies():
    """(source, from another stage) of every COPY."""
    for instruction, arguments in instructions():
        if instruction == "COPY":
            *sources, _ = [word for word in arguments.split() if not word.startswith("--")]
            for source in sources:
                yield source, "--from=" in arguments


def locked(name, requirement_file):
    """The pinned version of a package."""
    text = (ROOT / "requirements" / requirement_file).read_text()
    return re.search(rf"^{name}==(\S+)", text, re.MULTILINE)[1]


def test_hadolint_has_nothing_to_say():
    """The linter of `make check`."""
    hadolint = Path(sys.executable).with_name("hadolint")
    run = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")


def test_everything_copied_exists_and_reaches_the_builder():
    """.dockerignore keeps all out but what it lets in by name."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    sources = {source for source, from_stage in copies() if not from_stage}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert Path(source).parts[0] in let_in, source
    assert {Path(source).parts[0] for source in sources} == let_in


@pytest.mark.parametrize("path", ["runs", ".git", ".venv", ".cache", "tests"])
def test_private_things_stay_out(path):
    """A corpus or a history in an image would leave the house with it."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert not any(fnmatch.fnmatch(path, line[1:]) for line in lines if line.startswith("!"))


def test_stages_copied_from_are_there():
    """A misspelt stage would be taken for an image to download."""
    names = set()
    for name, (_, lines) in stages().items():
        for _, arguments in lines:
            for used in re.findall(r"--from=(\S+)", arguments):
                assert used in names, used
        names.add(name)


def test_targets_and_their_users():
    """The three images exist, and none runs as root."""
    for target in ("train", "beam-worker", "serve"):
        users = [value for instruction, value in stages()[target][1] if instruction == "USER"]
        assert users[-1:] == ["10001"], target


def test_base_images_are_pinned_to_what_the_locks_were_solved_for():
    """Exact tags; Python as supported, Beam's image as the Beam that is installed."""
    bases = {base for base, _ in stages().values()}
    beam = f"apache/beam_python3.11_sdk:{locked('apache-beam', 'curate.txt')}"
    assert bases == {"python:3.11-slim-bookworm", beam}
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert supported.startswith(">=3.11")


def test_every_installation_checks_hashes():
    """Or installs only the wheel that was built here, without looking for anything else."""
    text = " && ".join(arguments for name, arguments in instructions() if name == "RUN")
    installs = re.findall(r"pip [^&]*", text)
    assert len(installs) >= 8
    for install in installs:
        assert "--no-cache-dir" in install
        assert "--require-hashes" in install or "--no-deps" in install, install


def test_the_build_tool_is_cut_out_of_the_lock_file():
    """The sed script of the first stage gives one requirement with its hashes, and no more."""
    script = re.search(r"sed -n '([^']+)'", (ROOT / "Dockerfile").read_text())[1]
    sed = shutil.which("sed")
    cut = subprocess.run(
        [sed, "-n", script, ROOT / "requirements" / "all.txt"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert cut[0].startswith("setuptools==")
    assert len(cut) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in cut[1:])


def test_the_entry_points_exist():
    """Names and flags of the images' commands."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    entry = {
        target: [value for name, value in stages()[target][1] if name == "ENTRYPOINT"][-1]
        for target in ("train", "beam-worker", "serve")
    }
    assert entry["train"] == '["llm-keras"]'
    assert "llm-keras" in scripts
    assert entry["beam-worker"] == '["/opt/apache/beam/boot"]'
    flags = re.findall(r"--[a-z-]+", entry["serve"])
    help_text = subprocess.run(
        [sys.executable, "-m", "serving", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert flags
    assert all(flag in help_text for flag in flags)


def config_class(messages):
    """A message class for the fields of TensorFlow Serving's configuration that are used here."""
    file = descriptor_pb2.FileDescriptorProto(
        name="config.proto", package="config", syntax="proto3"
    )
    scalars = {"string": 9, "int64": 3, "bool": 8}
    for name, fields in messages.items():
        described = file.message_type.add(name=name)
        for number, (field, form) in enumerate(fields.items(), start=1):
            label = 3 if form.startswith("*") else 1
            kind = form.lstrip("*")
            added = described.field.add(name=field, number=number, label=label)
            added.type = scalars.get(kind, 11)
            if kind not in scalars:
                added.type_name = f".config.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    first = next(iter(messages))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"config.{first}"))


def test_models_config_is_valid_and_its_labels_name_served_versions():
    """model_server_config.proto, as far as it is used."""
    config = config_class(
        {
            "ModelServerConfig": {"model_config_list": "ModelConfigList"},
            "ModelConfigList": {"config": "*ModelConfig"},
            "ModelConfig": {
                "name": "string",
                "base_path": "string",
                "model_platform": "string",
                "model_version_policy": "Policy",
                "version_labels": "*Label",
            },
            "Policy": {"specific": "Specific"},
            "Specific": {"versions": "*int64"},
            "Label": {"key": "string", "value": "int64"},
        }
    )()
    text_format.Parse((TF_SERVING / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("model", "tensorflow")
    labels = {label.key: label.value for label in model.version_labels}
    assert labels == {"stable": 1, "canary": 2}
    assert set(labels.values()) <= set(model.model_version_policy.specific.versions)


def test_monitoring_config_is_valid():
    """monitoring_config.proto."""
    config = config_class(
        {
            "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
            "PrometheusConfig": {"enable": "bool", "path": "string"},
        }
    )()
    text_format.Parse((TF_SERVING / "monitoring.config").read_text(), config)
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_the_stock_server_is_of_the_same_tensorflow(tmp_path):
    """Ops of the exporting TensorFlow must exist in the serving one."""
    minor = locked("tensorflow", "serve.txt").rsplit(".", 1)[0]
    files = [TF_SERVING / "run.sh", ROOT / "docs" / "serving.md"]
    for file in files:
        tags = re.findall(r"tensorflow/serving:(\S+)", file.read_text())
        assert tags
        assert {tag.rsplit(".", 1)[0] for tag in tags} == {minor}


def test_the_script_runs_docker_with_the_mounted_files(tmp_path):
    """A stand-in for docker shows what it would have been asked."""
    stand_in = tmp_path / "docker"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    (tmp_path / "export").mkdir()
    run = subprocess.run(
        [TF_SERVING / "run.sh", tmp_path / "export"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    asked = run.stdout.splitlines()
    assert f"type=bind,source={tmp_path}/export,target=/models/model,readonly" in asked
    for flag in asked:
        if flag.startswith("--") and "=/config/" in flag:
            assert (TF_SERVING / flag.split("=/config/")[1]).is_file()
    refused = subprocess.run([TF_SERVING / "run.sh"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "usage: run.sh EXPORT_FOLDER" in refused.stderr
