"""Starts the embedded server: until it is told to stop, or for a while in the background.

Importing this module is instant; TensorFlow loads when a server starts, after the mistakes that can
be found without it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_keras.errors import UserError
from serving import listening
from serving.models import versions
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.http_server import HttpServer


def serve(
    base_path: Path,
    model_name: str = "model",
    host: str = "127.0.0.1",
    port: int = 8501,
    *,
    settings: Settings | None = None,
    api_key_variable: str = listening.API_KEY_VARIABLE,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serves a model until SIGTERM or Ctrl-C, then lets the running requests finish.

    Args:
        base_path: Folder of the numbered version folders, as `export/` of a run.
        model_name: The model's name in requests.
        host: Where to listen. Beyond this machine only with an API key.
        port: 0 takes any free one.
        settings: Limits and intervals; an `api_key` it lacks is taken from the environment.
        api_key_variable: The environment variable that may hold the API key.
        announce: Gets the text that says where the server is; default: prints it.

    Raises:
        UserError: The port is in use, the host needs a key, or there is no version to serve.
    """
    settings = _with_key(settings or Settings(), api_key_variable)
    with _ready_to_run(base_path, model_name, host, port, settings, api_key_variable) as ready:
        ready.server.run_until_stopped(lambda: (announce or _print)(ready.announcement))


@contextmanager
def start_in_background(
    base_path: Path,
    model_name: str = "model",
    *,
    port: int = 0,
    settings: Settings | None = None,
) -> Iterator[str]:
    """Serves a model on this machine while the block runs.

    Args:
        base_path: Folder of the numbered version folders.
        model_name: The model's name in requests.
        port: 0 takes any free one.
        settings: Limits and intervals; default: without warm-up, because few requests come. The
            environment is not looked at for a key.

    Yields:
        The server's address, as `http://127.0.0.1:49152`.

    Raises:
        UserError: The port is in use, or there is no version to serve.
    """
    settings = settings or Settings(warm_up=False)
    with _ready_to_run(base_path, model_name, "127.0.0.1", port, settings, "") as ready:
        thread = threading.Thread(target=ready.server.run_until_stopped, name="serving")
        thread.start()
        try:
            while not ready.server.ready.wait(timeout=0.1):
                if not thread.is_alive():
                    raise RuntimeError("the server did not start; the log says why")
            yield ready.url
        finally:
            ready.server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class _Ready:
    """A server with its model loaded, about to accept connections."""

    server: HttpServer
    url: str
    announcement: str


@contextmanager
def _ready_to_run(
    base_path: Path, name: str, host: str, port: int, settings: Settings, key_variable: str
) -> Iterator[_Ready]:
    """Takes everything the server needs, in the order of how fast it can fail; frees it after."""
    listener = listening.bind(host, port, settings.api_key, key_variable)
    try:
        if not versions.scan(base_path):
            raise UserError(versions.nothing_to_serve(base_path, {}))
        # Here and not above: these load TensorFlow.
        from serving import app
        from serving.announcement import announcement
        from serving.http_server import HttpServer
        from serving.models.manager import ModelManager
        from serving.models.model_spec import ModelSpec
        from serving.workers import Workers

        models = ModelManager(name, base_path, settings)
        workers = Workers(settings.threads, settings.queue)
        try:
            models.start()
            url = listening.url(listener)
            with models.hold(ModelSpec(name)) as servable:
                variable = key_variable if settings.api_key else None
                text = announcement(name, servable, url, variable)
            application = app.build(models, workers, settings)
            yield _Ready(HttpServer(application, listener, settings), url, text)
        finally:
            models.stop()  # first, because it cancels what the workers still run
            workers.stop()
    finally:
        listener.close()


def _with_key(settings: Settings, variable: str) -> Settings:
    return replace(settings, api_key=settings.api_key or listening.api_key(variable))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
