"""One process of a run on several: the chief keeps the books of the stage, all end as one."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn

from llm_keras import stages
from llm_keras.config import Run
from llm_keras.errors import LLMKerasError
from llm_keras.parallel.cluster import Cluster
from llm_keras.parallel.watchdog import STOPS
from llm_keras.run_folder import RunFolder


def perform(stage: stages.Stage, run: Run, folder: RunFolder, cluster: Cluster) -> NoReturn:
    """Performs a stage as one of several processes, and ends the process with its exit code.

    At once: Python's ordinary end would wait for TensorFlow, and that for processes that may be
    gone. A signal to stop waits from the start, before there is any thread, until
    `stopping.on_signals` can save; TensorFlow, which takes SIGTERM for itself when the processes
    meet, would lose it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        if cluster.is_chief:
            stages.perform(stage, run, folder)
        else:
            stage.perform(run, folder)
        code = 0
    except LLMKerasError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
        code = LLMKerasError.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
