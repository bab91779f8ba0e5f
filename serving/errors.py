"""What can go wrong with a request, and the HTTP status of each.

References:
    google.rpc.Code for the numbers; TensorFlow Serving 2.20, `http_server.cc`, for the statuses.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Code(IntEnum):
    """Canonical error codes, shared by TensorFlow, gRPC and TensorFlow Serving."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


#: HTTP status of each code; every other code is 500.
HTTP_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}

#: Where in the graph something failed, as TensorFlow puts before or after the reason.
_NODE = re.compile(r"\{\{(?:function_)?node [^}]*\}\}\s*")


class ServingError(Exception):
    """An answer other than success.

    Args:
        code: What kind of failure.
        message: One line for the client. May quote what the client sent, so it is never logged.
        http_status: Where HTTP is more exact than the code, as 413 for a body that is too large.
    """

    def __init__(self, code: Code, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status or HTTP_STATUS.get(code, 500)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid(message: str) -> ServingError:
    """The commonest failure: the request itself is wrong."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def from_tensorflow(error: Exception) -> ServingError:
    r"""The failure of a model as an answer: its code, and its message without graph internals.

    Args:
        error: A `tf.errors.OpError`; its number is the canonical code.

    Example:
    >>> class Fault(Exception):
    ...     error_code = 3
    >>> print(from_tensorflow(Fault("too long\n\t [[{{node Assert}}]]")))
    INVALID_ARGUMENT: too long
    """
    number = getattr(error, "error_code", None)
    code = Code(number) if number in set(Code) else Code.UNKNOWN
    text = str(getattr(error, "message", None) or error)
    for mark in ("[[{{", "[Op:", "\n"):
        text = text.partition(mark)[0]
    text = _NODE.sub("", text).strip()
    return ServingError(code, text or "the model failed without a message")
