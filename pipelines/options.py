"""Beam's options: local by default, anything Beam knows on request."""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions


def pipeline_options(workers: int, arguments: Sequence[str] = ()) -> PipelineOptions:
    """Makes the options of one pipeline.

    Args:
        workers: Local worker processes; 1 stays in this process.
        arguments: Beam's own arguments. `--runner=...` among them takes over entirely.

    The local runner is named outright: Beam's DirectRunner first tries to download another one.
    """
    if any(argument.partition("=")[0] == "--runner" for argument in arguments):
        return PipelineOptions(list(arguments))
    local = ["--runner=FnApiRunner"]
    if workers > 1:
        local += [
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={workers}",
        ]
    return PipelineOptions([*local, *arguments])
