"""The socket to listen on, taken before anything slow starts, and its mistakes in one line."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from llm_keras.errors import UserError

#: Environment variable that holds the API key, unless another is named.
API_KEY_VARIABLE = "LLM_KERAS_API_KEY"


def api_key(variable: str = API_KEY_VARIABLE) -> str | None:
    """The API key in the environment; None if the variable is empty or not set."""
    return os.environ.get(variable) or None


def bind(host: str, port: int, key: str | None, variable: str = API_KEY_VARIABLE) -> socket.socket:
    """Binds a socket, which does not listen yet: clients are refused until the model is loaded.

    Args:
        host: Name or address.
        port: 0 takes any free one.
        key: The API key; without one only this machine may connect.
        variable: Where the key would have been, for the message.

    Raises:
        UserError: The port is in use, the host is not this machine, or it is open without a key.
    """
    family, address = _resolve(host, port)
    if not key and not ipaddress.ip_address(address[0]).is_loopback:
        raise UserError(
            f"refusing to listen on {host} without an API key, because others could use the model:"
            f" put a key into the environment variable {variable}, or listen on 127.0.0.1"
        )
    # With the protocol spelt out, asyncio turns Nagle's delay (40 ms an answer) off.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UserError(_explain(error, host, port)) from None
    return listener


def listen(listener: socket.socket) -> None:
    """Starts to accept connections.

    Raises:
        UserError: Another program took the port meanwhile.
    """
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UserError(_explain(error, host, port)) from None


def url(listener: socket.socket) -> str:
    """Where clients on this machine reach the server."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:  # every interface
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    name = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{name}:{port}"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not 0 <= port <= 65_535:
        raise UserError(f"port {port} does not exist; choose one from 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UserError(f"host {host!r} is unknown; give an address such as 127.0.0.1") from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is in use on {host}: stop the program that uses it or choose another"
            " port (0 takes a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs the administrator's rights; choose one above 1023"
    return f"cannot listen on {host} port {port}: {error.strerror}"
