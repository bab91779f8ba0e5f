"""`python -m serving`: the embedded server without the rest of the package."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from llm_keras.errors import LLMKerasError, UserError
from serving import listening
from serving.server import serve
from serving.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the exit code: 0 stopped in order, 2 a user's mistake."""
    options = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's greetings
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(
            options.model_base_path,
            options.model_name,
            options.host,
            options.port,
            settings=settings_of(options),
            api_key_variable=options.api_key_variable,
        )
    except LLMKerasError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; flags are named as TensorFlow Serving's where it has such."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves a SavedModel over TensorFlow Serving's REST API.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--model-base-path", type=Path, required=True, help="folder of the version folders")
    add("--model-name", default="model", help="name in requests")
    add("--host", default="127.0.0.1", help="where to listen; other machines need an API key")
    add("--port", type=int, default=8501, help="0 takes any free port")
    add(
        "--api-key-variable",
        default=listening.API_KEY_VARIABLE,
        help="environment variable that holds the API key",
    )
    add("--label", action="append", default=[], metavar="NAME=VERSION", help="name a version")
    add("--threads", type=int, default=defaults.threads, help="requests at once")
    add("--queue", type=int, default=defaults.queue, help="requests that may wait")
    add("--timeout-seconds", type=float, default=defaults.timeout_seconds, help="longest run")
    add("--drain-seconds", type=float, default=defaults.drain_seconds, help="grace after SIGTERM")
    add("--poll-seconds", type=float, default=defaults.poll_seconds, help="0: never look again")
    add("--skip-warm-up", action="store_true", help="serve without the recorded requests")
    add("--body-bytes", type=int, default=defaults.body_bytes, help="largest request body")
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> Settings:
    """The server's settings as the command line gives them."""
    return Settings(
        threads=options.threads,
        queue=options.queue,
        timeout_seconds=options.timeout_seconds,
        drain_seconds=options.drain_seconds,
        poll_seconds=options.poll_seconds,
        warm_up=not options.skip_warm_up,
        body_bytes=options.body_bytes,
        labels=dict(_label(text) for text in options.label),
    )


def _label(text: str) -> tuple[str, int]:
    name, separator, version = text.partition("=")
    if not name or not separator or not version.isdecimal():
        raise UserError(f"--label {text}: expected NAME=VERSION, as in --label stable=3")
    return name, int(version)


if __name__ == "__main__":
    sys.exit(main())
