"""One GET request to one IP address; what came back, byte for byte.

No redirect is followed, nothing is sent but the request, no cookie is kept. Time and bytes are
limited for the whole exchange, not for each read: a server may send a byte a minute.

References:
    RFC 9112, sections 3 (request) and 6.3 (length of a message).
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipelines.web import http_message
from pipelines.web.address import PORTS, Address

RECEIVE_BYTES = 2**16
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"
_ACCEPT = "text/html,application/xhtml+xml,text/plain;q=0.9"


class FetchError(Exception):
    """An exchange that did not come to its end; its text is the reason, one of few names."""


TIMEOUT, TOO_LARGE, CUT_SHORT, UNREACHABLE = "timeout", "too_large", "cut_short", "unreachable"


class Limits(NamedTuple):
    """What one exchange may take.

    Args:
        seconds: From connecting to the last byte.
        maximum_bytes: Of the answer without its head.
        keep_partial: Whether to return what is within `maximum_bytes` of a longer answer.
    """

    seconds: float
    maximum_bytes: int
    keep_partial: bool = False


def get(
    address: Address,
    ip: str,
    user_agent: str,
    limits: Limits,
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> bytes:
    """Fetches an address from the machine `ip`.

    Args:
        address: What to ask for.
        ip: Whom to ask; nothing is looked up here.
        user_agent: Who asks.
        limits: Time and bytes.
        context: Makes the settings of TLS; the certificate must be the host's.

    Returns:
        The response as it came over the wire.

    Raises:
        FetchError: It took too long, was too large, or ended early.
    """
    deadline = time.monotonic() + limits.seconds
    try:
        with _connect(address, ip, deadline, context) as connection:
            connection.sendall(_request(address, user_agent))
            return _message(_received(connection, deadline), limits)
    except TimeoutError:
        raise FetchError(TIMEOUT) from None
    except OSError:
        raise FetchError(UNREACHABLE) from None


def _connect(
    address: Address, ip: str, deadline: float, context: Callable[[], ssl.SSLContext]
) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(_left(deadline))
        connection.connect((ip, address.port))
        if address.scheme == "https":
            return context().wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise
    return connection


def _request(address: Address, user_agent: str) -> bytes:
    host = f"[{address.host}]" if ":" in address.host else address.host
    host += "" if address.port == PORTS[address.scheme] else f":{address.port}"
    lines = (
        f"GET {address.target} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {' '.join(user_agent.split())}",
        f"Accept: {_ACCEPT}",
        "Accept-Encoding: gzip",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode("latin-1", "replace")


def _received(connection: socket.socket, deadline: float) -> Iterator[bytes]:
    while True:
        connection.settimeout(_left(deadline))
        data = connection.recv(RECEIVE_BYTES)
        if not data:
            return
        yield data


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _message(pieces: Iterator[bytes], limits: Limits) -> bytes:
    """Puts an answer together until it is whole.

    Raises:
        FetchError: It is too large, or ends before it is whole.
    """
    message = bytearray()
    whole: int | None = None  # bytes of the whole message, once its head says so
    head_read = chunked = False
    most = limits.maximum_bytes + http_message.MAXIMUM_HEAD_BYTES
    for piece in pieces:
        message += piece
        if not head_read and (response := _head(message)) is not None:
            head_read, head_bytes = True, len(message) - len(response.body)
            chunked = "chunked" in response.values("transfer-encoding")
            length = response.header("content-length") or ""
            if not chunked and length.isascii() and length.isdigit() and len(length) < 19:
                whole = head_bytes + int(length)
            most = head_bytes + limits.maximum_bytes
        if limits.keep_partial and len(message) >= most:
            return bytes(message[:most])
        if not limits.keep_partial and max(len(message), whole or 0) > most:
            raise FetchError(TOO_LARGE)
        if whole is not None and len(message) >= whole:
            return bytes(message[:whole])
        if chunked and message.endswith(_END_OF_CHUNKS):
            return bytes(message)
    if not head_read or chunked or whole is not None:
        raise FetchError(CUT_SHORT)
    return bytes(message)


def _head(message: bytearray) -> http_message.Response | None:
    """The response so far; None until its head is there."""
    try:
        return http_message.parse(bytes(message))
    except http_message.MessageError:
        return None
