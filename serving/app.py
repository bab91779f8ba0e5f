"""Puts the parts together: middleware around the APIs, each below its own path."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware

from serving.guards import ApiKey, HeaderLimit, LoopbackHost, OpenRequestLimit
from serving.models.manager import ModelManager
from serving.request_log import RequestLog
from serving.rest.endpoint import RestApi
from serving.settings import Settings
from serving.workers import Workers

#: Bytes of path and headers that are answered properly; see `HeaderLimit`.
HEADER_BYTES = 16 * 1024


def build(models: ModelManager, workers: Workers, settings: Settings) -> Starlette:
    """The application.

    Args:
        models: The model that is served, started.
        workers: Threads for it.
        settings: Limits, and the API key if there is one.
    """
    guard = Middleware(ApiKey, settings.api_key) if settings.api_key else Middleware(LoopbackHost)
    app = Starlette(
        middleware=[
            Middleware(RequestLog),  # outermost: it logs what the others refuse
            Middleware(HeaderLimit, HEADER_BYTES),
            guard,
            Middleware(OpenRequestLimit, settings.open_requests),
        ],
    )
    # Not a route: it reads the path undecoded, as sent. Further APIs are mounted before it.
    app.router.default = RestApi(models, workers, settings)
    return app
