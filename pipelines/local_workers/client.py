"""Stands in the place of a local worker: has one forked off, waits for it, ends as it ended.

Run by a Python without its usual imports, as `client.py SOCKET`: it takes 20 ms.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main(address: str) -> int:
    """Gives this process's folder, variables and output to the server; returns the exit code."""
    asked = json.dumps({"folder": os.getcwd(), "environment": dict(os.environ)})  # noqa: PTH109
    folder, name = os.path.split(address)
    os.chdir(folder)  # the whole path may be longer than an address of a socket
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(name)
        socket.send_fds(server, [b"!"], [1, 2])
        server.sendall(asked.encode("utf-8", "surrogatepass"))
        server.shutdown(socket.SHUT_WR)
        return int(server.recv(8) or b"1")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
