"""Builds every job of both stages for Dataflow, and says what is in them; a program.

    python dataflow_jobs.py RUN.yaml OUTPUT ARGUMENT...

Dataflow's runner gets each pipeline and builds its job, which is not submitted. What the job would
do is then done by the local runner, so that the next one has something to read.
"""

import json
import sys
from pathlib import Path


def main(run_file_path, output, arguments):
    from llm_keras import run_file
    from llm_keras.run_folder import RunFolder
    from pipelines import options
    from pipelines.curate import curate
    from pipelines.tokenize import tokenize

    jobs = []
    options._run_watched = lambda pipeline: jobs.append(build_and_run(pipeline))
    options._check_submitted = lambda pipeline: None
    run, folder = run_file.load(Path(run_file_path)), RunFolder(Path(output))
    curate(run, folder, arguments)
    tokenize(run, folder, arguments)
    print(json.dumps([facts(job) for job in jobs]))  # noqa: T201


def build_and_run(pipeline):
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import EmbeddedPythonEnvironment

    here = pipeline.to_runner_api(default_environment=EmbeddedPythonEnvironment.default())
    job = pipeline.run().job
    FnApiRunner().run_via_runner_api(here, PipelineOptions()).wait_until_finish()
    return job


def facts(job):
    """What the tests ask of a job."""
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.pipeline_context import PipelineContext

    components = job.proto_pipeline.components
    context = PipelineContext(components)
    docker = beam_runner_api_pb2.DockerPayload
    return {
        "type": json.loads(job.json())["type"],
        "images": [
            docker.FromString(each.payload).container_image
            for each in components.environments.values()
        ],
        "payloads": {
            each.unique_name: len(each.spec.payload) for each in components.transforms.values()
        },
        "keys": [key_of(each, components, context) for each in groupings(components)],
    }


def groupings(components):
    """Every transform that groups by key."""
    urn = "beam:transform:group_by_key:v1"
    return [each for each in components.transforms.values() if each.spec.urn == urn]


def key_of(grouping, components, context):
    """The coder of what is grouped, and whether that of its key always gives the same bytes."""
    (collection,) = grouping.inputs.values()
    name = components.pcollections[collection].coder_id
    coder = context.coders.get_by_id(name)
    return [components.coders[name].spec.urn, coder.key_coder().is_deterministic()]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
