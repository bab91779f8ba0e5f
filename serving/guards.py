"""What a request passes before it reaches an API: limits, and who may ask."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import Code, ServingError
from serving.rest.endpoint import error_response


class HeaderLimit:
    """Answers 431 to more than `limit` bytes of path and headers."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on or refuses."""
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > self._limit:
            message = f"path and headers exceed {self._limit} bytes"
            error = ServingError(Code.INVALID_ARGUMENT, message, http_status=431)
            await error_response(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class OpenRequestLimit:
    """Answers 503 when `limit` requests are open already."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on or refuses; runs in one event loop, so plain counting will do."""
        if self._open >= self._limit:
            error = ServingError(Code.UNAVAILABLE, "too many open requests; try again later")
            await error_response(error)(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1


class ApiKey:
    """Answers 401 on every route unless the request carries `Authorization: Bearer <key>`."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = b"Bearer " + key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on or refuses; the comparison takes the same time whatever differs."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
        else:
            error = ServingError(Code.UNAUTHENTICATED, "missing or wrong API key")
            await error_response(error)(scope, receive, send)


class LoopbackHost:
    """Answers 403 to a `Host` that is not this machine's own; used where there is no key.

    A web page can point its own domain at 127.0.0.1 (DNS rebinding) and so read a local server's
    answers from the visitor's browser. The browser still sends that domain as `Host`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on or refuses."""
        host = Headers(scope=scope).get("host", "localhost")
        if is_loopback_name(_without_port(host)):
            await self._app(scope, receive, send)
        else:
            error = ServingError(
                Code.PERMISSION_DENIED, "without an API key only localhost may be addressed"
            )
            await error_response(error)(scope, receive, send)


def is_loopback_name(name: str) -> bool:
    """Whether a name or address is this machine's loopback.

    Example:
    >>> [is_loopback_name(name) for name in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "x.org")]
    [True, True, True, False, False]
    """
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
