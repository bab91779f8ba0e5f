"""Jobs for Dataflow, built as far as its runner builds them without the service."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("google.cloud.dataflow")
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from llm_keras import run_file
from llm_keras.tokenizers import train_tokenizer
from pipelines import options
from pipelines.curate import curate
from pipelines.tokenize import tokenize

IMAGE = "example/llm-keras-beam-worker:1"
DATAFLOW = [
    "--runner=DataflowRunner",
    "--dry_run",
    "--project=example",
    "--region=europe-west4",
    "--temp_location=gs://example/temp",
    f"--sdk_container_image={IMAGE}",
    "--sdk_location=container",
    "--machine_type=n2-standard-4",
    "--max_num_workers=200",
]
#: No object of this size belongs into a job: a tokenizer's model has several times as much.
MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def run(letters, make_run):
    near = {"exact": True, "lines": True, "near": {}}
    mixture = {"deduplicate": near, "mixture": {}, "test_fraction": 0.1, "redact": {}}
    return make_run(letters, **mixture)


@pytest.fixture
def jobs(monkeypatch):
    """Every job that is built; what it would do is done here, so that the next one has input."""
    built = []

    def build_and_run(pipeline):
        here = pipeline.to_runner_api(default_environment=EmbeddedPythonEnvironment.default())
        built.append(pipeline.run().job)
        FnApiRunner().run_via_runner_api(here, PipelineOptions()).wait_until_finish()

    monkeypatch.setattr(options, "_run_watched", build_and_run)
    monkeypatch.setattr(options, "_check_submitted", lambda pipeline: None)
    return built


@pytest.fixture
def built(jobs, run, folder):
    curate(run, folder, DATAFLOW)
    train_tokenizer(run, folder)
    tokenize(run, folder, DATAFLOW)
    return jobs


def parts(job):
    """Name -> payload of every transform that has one."""
    transforms = job.proto_pipeline.components.transforms.values()
    return {each.unique_name: each.spec.payload for each in transforms if each.spec.payload}


def test_each_step_is_a_batch_job_with_our_image(built):
    assert len(built) >= 6
    for job in built:
        description = json.loads(job.json())
        assert description["type"] == "JOB_TYPE_BATCH"
        images = {
            beam_runner_api_pb2.DockerPayload.FromString(each.payload).container_image
            for each in job.proto_pipeline.components.environments.values()
        }
        assert images == {IMAGE}
    names = [name for job in built for name in parts(job)]
    assert any("Encode" in name for name in names)
    assert any("WriteShard" in name for name in names)


def test_nothing_large_travels_with_a_job(built, folder):
    """Nor the tokenizer: workers read it where it lies."""
    model = folder.tokenizer_model.read_bytes()
    for job in built:
        sizes = {name: len(payload) for name, payload in parts(job).items()}
        assert sizes
        assert max(sizes.values()) < MOST_BYTES, max(sizes, key=sizes.get)
        assert model[1000:1100] not in job.proto_pipeline.SerializeToString()


def test_what_is_grouped_by_has_a_coder_that_is_the_same_on_every_machine(built):
    """Dataflow groups by the bytes of keys."""
    for job in built:
        components = job.proto_pipeline.components
        for transform in components.transforms.values():
            if transform.spec.urn != "beam:transform:group_by_key:v1":
                continue
            (collection,) = transform.inputs.values()
            coder = components.coders[components.pcollections[collection].coder_id]
            assert coder.spec.urn == "beam:coder:kv:v1"
            assert "pickle" not in components.coders[coder.component_coder_ids[0]].spec.urn


@pytest.mark.parametrize("stage", ["curate", "tokenize"])
def test_the_command_builds_a_job_and_says_that_it_was_not_submitted(
    stage, run, folder, tmp_path, monkeypatch
):
    curate(run, folder)
    train_tokenizer(run, folder)
    (tmp_path / "run.yaml").write_text(run_file.dump(run))
    command = [sys.executable, "-m", f"pipelines.{stage}", "--run", str(tmp_path / "run.yaml")]
    done = subprocess.run(
        [*command, "--output", str(folder.root), *DATAFLOW],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_GCE_CHECK": "true"},
        timeout=120,
    )
    said = "--dry_run: a job was built for DataflowRunner, and not submitted\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
    assert not folder.manifest.exists()
