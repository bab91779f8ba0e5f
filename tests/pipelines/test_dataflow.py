"""Jobs for Dataflow, built as far as its runner builds them without the service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_keras import run_file
from llm_keras.run_folder import RunFolder
from tests.packages import fetch_pip
from tests.tokenizer_files import smollm2

IMAGE = "example/llm-keras-beam-worker:1"
ARGUMENTS = [
    "--runner=DataflowRunner",
    "--dry_run=true",
    "--project=example",
    "--region=europe-west4",
    "--temp_location=gs://example/temp",
    f"--sdk_container_image={IMAGE}",
    "--sdk_location=container",
    "--machine_type=n2-standard-4",
    "--max_num_workers=200",
]
#: What the runner needs beside Beam. Installed, they would make every start of Beam slower.
PACKAGES = {
    "google-cloud-dataflow-client": "0.13.0",
    "google-cloud-storage": "3.17.1",
    "google-cloud-core": "2.8.0",
    "google-resumable-media": "2.11.0",
}
#: No object of this size belongs into a job: a tokenizer has many times as much.
MOST_BYTES = 100_000


def python(*arguments):
    """Runs a program that finds the packages."""
    folders = [str(fetch_pip(name, version)) for name, version in PACKAGES.items()]
    root = str(Path(__file__).parents[2])
    places = {"PYTHONPATH": os.pathsep.join([root, *folders]), "NO_GCE_CHECK": "true"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | places,
        timeout=200,
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory, letters, make_run):
    corpus = {
        "deduplicate": {"lines": True, "near": {}},
        "mixture": {},
        "test_fraction": 0.1,
        "redact": {},
    }
    path = tmp_path_factory.mktemp("settings") / "run.yaml"
    path.write_text(run_file.dump(make_run(letters, **corpus)))
    return path


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("output") / "run"


@pytest.fixture(scope="module")
def jobs(settings, output):
    """What is in each job; with a tokenizer of a real size."""
    folder = RunFolder(output)
    (folder.root / "tokenizer").mkdir(parents=True)
    (folder.root / "tokenizer" / "tokenizer.json").write_bytes(smollm2())
    program = Path(__file__).with_name("dataflow_jobs.py")
    done = python(str(program), str(settings), str(output), *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_step_is_a_batch_job_with_our_image(jobs):
    assert len(jobs) >= 6
    for job in jobs:
        assert job["type"] == "JOB_TYPE_BATCH"
        assert job["images"] == [IMAGE]
    names = [name for job in jobs for name in job["payloads"]]
    assert any("Encode" in name for name in names)
    assert any("WriteShard" in name for name in names)


def test_nothing_large_travels_with_a_job(jobs, output):
    """Nor the tokenizer: workers read it where it lies."""
    assert RunFolder(output).tokenizer_model.stat().st_size > 10 * MOST_BYTES
    for job in jobs:
        largest = max(job["payloads"], key=job["payloads"].get)
        assert 0 < job["payloads"][largest] < MOST_BYTES, largest


def test_keys_have_a_coder_that_is_the_same_on_every_machine(jobs):
    """Dataflow groups by the bytes of keys."""
    keys = [key for job in jobs for key in job["keys"]]
    assert keys
    assert {tuple(key) for key in keys} == {("beam:coder:kv:v1", True)}


@pytest.mark.parametrize("stage", ["curate", "tokenize"])
def test_the_command_builds_a_job_and_says_that_it_was_not_submitted(
    stage, settings, jobs, output, hashes
):
    folder = RunFolder(output)
    before = hashes(folder)
    command = ("-m", f"pipelines.{stage}", "--run", str(settings), "--output", str(output))
    done = python(*command, *ARGUMENTS)
    said = "--dry_run: a job was built for DataflowRunner, and not submitted\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
    assert hashes(folder) == before
