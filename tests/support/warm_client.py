"""The program of `warm`: asks the server for a process, lends it everything of its own, and ends as it does.

It starts as often as a demo does, so it imports little.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import NoReturn


def main(address: str) -> NoReturn:
    """Run the script that the command line names in a process of the server at `address`."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    lent = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
    request = json.dumps(lent).encode()
    socket.send_fds(server, [len(request).to_bytes(4)], [0, 1, 2])
    server.sendall(request)
    pid = int.from_bytes(_receive(server))

    def forward(number: int, frame: object) -> None:
        os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    code = int.from_bytes(_receive(server), signed=True)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _receive(server: socket.socket) -> bytes:
    found = b""
    while len(found) < 4:
        part = server.recv(4 - len(found))
        if not part:
            sys.exit("the server of warm processes is gone")
        found += part
    return found
