"""The log of requests: one line each, without a word of what was asked."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import Code, ServingError
from serving.rest.endpoint import error_response

logger = logging.getLogger(__name__)


class RequestLog:
    """Logs one line a request: id, action, status, bytes, time. Never a path, a text or a key.

    Also the last resort: whatever escapes is answered 500 with the request's id, and logged by the
    place it came from; an exception's own words could quote the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, and logs afterwards."""
        identity, started = secrets.token_hex(8), time.perf_counter()
        state = scope.setdefault("state", {})
        received = sent = status = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal sent, status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identity.encode())]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counting_receive, counting_send)
        except ClientDisconnect:
            status = 499
        except asyncio.CancelledError:
            # The grace time of a stopping server is over, and nothing else cancels a request: an
            # answer is the better end for it.
            if not status:
                stopping = ServingError(Code.UNAVAILABLE, "the server is stopping")
                await error_response(stopping)(scope, counting_receive, counting_send)
        except Exception as error:
            # No traceback: it would quote the message.
            logger.error("request %s failed: %s", identity, _place(error))  # noqa: TRY400
            if not status:
                response = error_response(
                    ServingError(Code.INTERNAL, f"internal error; request {identity}")
                )
                await response(scope, counting_receive, counting_send)
        finally:
            logger.info(
                "request %s %s status %d, received %d B, sent %d B, %.1f ms",
                identity,
                state.get("action", "-"),
                status,
                received,
                sent,
                1000 * (time.perf_counter() - started),
            )


def _place(error: Exception) -> str:
    """The type of an exception and the line that raised it, without its message."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"
    return f"{type(error).__name__} at {where}"
