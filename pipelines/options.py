"""How a pipeline is run: locally by default, on anything Beam knows on request."""

from __future__ import annotations

import argparse
import queue
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_keras.errors import LLMKerasError, UserError
from pipelines import local_workers
from pipelines.quiet import beam, quiet


class WorkerDiedError(LLMKerasError):
    """A local worker process ended before its work did."""


#: Beam would list what is installed here, for each job anew: seconds, and nobody's business.
_QUIET = ("--experiments=disable_logging_submission_environment",)


class OnlyBuiltError(LLMKerasError):
    """A job was built and, as asked, not submitted: there is nothing to go on with."""

    exit_code = 0


@contextmanager
def run_pipeline(
    workers: int, arguments: Sequence[str], worker_log: Path
) -> Iterator[beam.Pipeline]:
    """Opens a pipeline to put transforms into; runs it, to its end, on leaving the block.

    Args:
        workers: Local worker processes; 1 works in this process.
        arguments: Beam's own arguments. With `--runner=...` among them they decide everything.
        worker_log: Takes what local worker processes print, so that the terminal stays quiet.

    Raises:
        WorkerDiedError: A local worker process was killed, as for lack of memory.
        OnlyBuiltError: Among the arguments is `--dry_run`.
    """
    with quiet():
        if any(argument.partition("=")[0] == "--runner" for argument in arguments):
            pipeline = beam.Pipeline(options=_options((*arguments, *_QUIET)))
        else:
            pipeline = _local(workers, arguments, worker_log)
        yield pipeline
        _run_watched(pipeline)
        _check_submitted(pipeline)


def _check_submitted(pipeline: beam.Pipeline) -> None:
    from apache_beam.options.pipeline_options import TestOptions

    if pipeline.options.view_as(TestOptions).dry_run:
        raise OnlyBuiltError(
            f"--dry_run: a job was built for {type(pipeline.runner).__name__}, and not submitted"
        )


def job_arguments(module: str) -> argparse.ArgumentParser:
    """What every stage takes that is a Beam job of its own; other arguments are Beam's.

    Args:
        module: The stage, as it is run with `python -m`.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description="Other arguments are Beam's."
    )
    parser.add_argument("--run", required=True, type=Path, help="the run file")
    parser.add_argument("--output", required=True, help="the run folder, in any place Beam knows")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE, as llm-keras")
    return parser


def told(error: LLMKerasError) -> int:
    """Prints what ended a Beam job, one line; returns the exit code."""
    prefix = "error: " if error.exit_code else ""
    print(f"{prefix}{error}", file=sys.stderr)  # noqa: T201
    return error.exit_code


def mistake_in(error: Exception) -> UserError | None:
    """The user's mistake that an error is, or that a worker reports as text with Beam's note."""
    report = f"UserError: {error}" if isinstance(error, UserError) else str(error)
    found = re.search(r"UserError: (.*)", report)
    return UserError(found[1].partition(" [while running")[0]) if found else None


def _local(workers: int, arguments: Sequence[str], worker_log: Path) -> beam.Pipeline:
    """A pipeline on the local runner, named outright: DirectRunner tries to download another.

    Several workers are as with `--direct_running_mode=multi_processing`, but with their output in
    a file and forked off a process that has imported everything.
    """
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    if workers == 1:
        return beam.Pipeline(runner=FnApiRunner(), options=_options(arguments))
    command = local_workers.command(worker_log)
    environment = SubprocessSDKEnvironment.from_command_string(command)
    options = _options((f"--direct_num_workers={workers}", *arguments))
    return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)


def _options(arguments: Sequence[str]) -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions(list(arguments))


def _run_watched(pipeline: beam.Pipeline) -> None:
    """Runs a pipeline and raises if a worker process dies.

    The local runner would wait for a dead worker for ever; the thread that looks after the worker
    notices, but only says so to `threading.excepthook`.
    """
    outcome: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            pipeline.run().wait_until_finish()
        except BaseException as error:
            outcome.put(error)
        else:
            outcome.put(None)

    def notice(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is not None and failure.thread.name == "run_worker":
            outcome.put(
                WorkerDiedError(
                    f"a worker process died ({failure.exc_value}); if memory ran out, use fewer"
                    " workers or more shards"
                )
            )
        elif not failure.exc_type.__module__.startswith("grpc"):  # its line to the worker broke
            previous(failure)

    previous, threading.excepthook = threading.excepthook, notice
    threading.Thread(target=run, name="pipeline", daemon=True).start()
    error = outcome.get()
    if not isinstance(error, WorkerDiedError):  # else threads that served it are still to fail
        threading.excepthook = previous
    if error is not None:
        raise error
