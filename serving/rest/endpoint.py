"""The HTTP side of the REST API: one ASGI application for every path below `/v1/`."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.errors import Code, ServingError
from serving.models.manager import ModelManager
from serving.models.model_spec import ModelSpec
from serving.rest import bodies, descriptions, inference, paths
from serving.settings import Settings
from serving.workers import Workers

#: The rest of the body may still be on its way, and would be taken for the next request.
_BODY_UNREAD = {408, 413}


class RestApi:
    """Answers requests as TensorFlow Serving does.

    Status and metadata are answered by the event loop itself, so that a health check works while
    all threads are busy.

    Args:
        models: The model that is served.
        workers: Where it runs.
        settings: Limits of request bodies.
    """

    def __init__(self, models: ModelManager, workers: Workers, settings: Settings) -> None:
        self._models = models
        self._workers = workers
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one response."""
        request = Request(scope, receive)
        try:
            response = json_response(await self._answer(request))
        except ServingError as error:
            response = error_response(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> str:
        target = _target(request.scope)
        if not paths.belongs_here(target):
            raise ServingError(Code.NOT_FOUND, "Not found; models are below /v1/models/")
        action, spec = paths.parse(request.method, target)
        request.state.action = action
        if action == "status":
            return descriptions.status(self._models.statuses(spec))
        if action == "metadata":
            with self._models.hold(spec) as servable:
                definitions = servable.model.signature_defs
                return descriptions.metadata(spec.name, servable.version, definitions)
        return await self._infer(request, action, spec)

    async def _infer(self, request: Request, action: str, spec: ModelSpec) -> str:
        packed = await bodies.receive(request, self._settings)
        encoding = request.headers.get("content-encoding", "")
        limit = self._settings.body_bytes

        def work() -> str:
            body = bodies.unpack(packed, encoding, limit)
            return inference.ACTIONS[action](self._models, spec, body)

        return await self._workers.run(work)


def json_response(body: str, status: int = 200) -> Response:
    """JSON text as a response; a half surrogate pair, which UTF-8 lacks, is escaped."""
    content = body.encode("utf-8", errors="backslashreplace")
    return Response(content, status, media_type="application/json")


def error_response(error: ServingError) -> Response:
    """`{"error": "..."}` with the error's status."""
    body = json.dumps({"error": error.message}, ensure_ascii=False, indent=4)
    response = json_response(body, error.http_status)
    if error.code is Code.UNAVAILABLE:
        response.headers["retry-after"] = "1"
    if error.code is Code.UNAUTHENTICATED:
        response.headers["www-authenticate"] = "Bearer"
    if error.http_status in _BODY_UNREAD:
        response.headers["connection"] = "close"
    return response


def _target(scope: Scope) -> str:
    """The path and query as sent, not decoded."""
    target = bytes(scope["raw_path"])
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("latin-1")
