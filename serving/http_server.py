"""uvicorn, set up for this server: silent about requests, and SIGTERM is an orderly end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from serving import listening
from serving.settings import Settings

_KEEP_ALIVE_SECONDS = 65  # longer than the 60 s of usual load balancers, so that they hang up first
_PARSED_HEADER_BYTES = 64 * 1024  # more than `app.HEADER_BYTES`, so that 431 can be answered


class HttpServer(uvicorn.Server):
    """Serves an application on a bound socket.

    Args:
        app: The application.
        listener: A bound socket; it starts to listen in `run_until_stopped`.
        settings: Uses `drain_seconds`.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,  # it would log paths
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
                h11_max_incomplete_event_size=_PARSED_HEADER_BYTES,
            )
        )
        self.ready = threading.Event()
        self._listener = listener
        self._on_ready: Callable[[], None] | None = None

    def run_until_stopped(self, on_ready: Callable[[], None] | None = None) -> None:
        """Accepts connections until SIGTERM, SIGINT or `should_exit`; returns after draining.

        Raises:
            UserError: The port was taken since it was bound.
        """
        self._on_ready = on_ready
        listening.listen(self._listener)
        self.run(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets)
        self.ready.set()
        if self._on_ready:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends on a signal without raising it again afterwards, so that the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
