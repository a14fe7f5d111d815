"""A Python that has imported torch already: tests start demos by the dozen, and an import costs more than the run.

`warm()` gives the path of a program that takes a command line as Python does (`SCRIPT ARGUMENTS`). A server that has
imported the libraries, and done nothing with them, forks a process for each script; the program (`warm_client`) hands
it its own arguments, environment, folder and standard streams, and ends as that process does, by the same signal if
need be. In the process, `sys.executable` is the program, so that a demo's own children are warm too. A program that
is killed takes its process along.

A script still has a process of its own, and sees nothing of another. What a fresh Python does and this does not is
to import the libraries; tests of that start `sys.executable`.
"""

from __future__ import annotations

import gc
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POSSIBLE = hasattr(os, "pidfd_open")
"""Whether this system can tell the end of a process by a file descriptor, as Linux does."""

_PROGRAM = """\
#!{python} -IS
import sys
sys.path.append({folder!r})
import warm_client
warm_client.main({address!r})
"""


@contextmanager
def warm(**environment: str) -> Iterator[str]:
    """Give the path of the program; the server ends with the context.

    `environment` is what a library reads when it is imported, such as OMP_NUM_THREADS.
    """
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        address, program = str(Path(folder) / "socket"), Path(folder) / "python"
        home = str(Path(__file__).parent)
        program.write_text(_PROGRAM.format(python=sys.executable, folder=home, address=address))
        program.chmod(0o755)
        log = Path(folder) / "log"
        with (
            log.open("wb") as said,
            subprocess.Popen(
                [sys.executable, __file__, address, str(program)],
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            ) as server,
        ):
            assert server.stdin and server.stdout
            assert server.stdout.readline() == b"ready\n", log.read_text()
            yield str(program)
            server.stdin.close()


# ---- the server --------------------------------------------------------------------------------------------


def _import_libraries() -> None:
    import accelerate  # noqa: F401
    import bitsandbytes  # noqa: F401
    import matplotlib.figure
    import peft  # noqa: F401
    import rich.progress
    import torch
    import transformers.models.llama.modeling_llama

    import memlab.launch  # noqa: F401

    torch.set_num_threads(1)
    gc.freeze()  # else the collector of each process looks at all of that, and copies its pages


def _serve(address: str, program: str) -> dict[str, Any] | None:
    """Fork until standard input ends; return None then, and in each forked process what it is to run."""
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is listener:
                    if (request := _accept(listener, selector)) is not None:
                        return request | {"program": program}
                elif key.fileobj in selector.get_map():
                    _end(selector, *key.data)


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> dict[str, Any] | None:
    """Fork for one client: return its request in the new process, and None in the server."""
    client, _ = listener.accept()
    size, streams, _, _ = socket.recv_fds(client, 4, 3)
    with client.makefile("rb") as file:
        request: dict[str, Any] = json.loads(file.read(int.from_bytes(size)))
    pid = os.fork()
    if pid == 0:
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        return request
    for stream in streams:
        os.close(stream)
    client.sendall(pid.to_bytes(4))
    process = os.pidfd_open(pid)
    for fileobj in (client, process):
        selector.register(fileobj, selectors.EVENT_READ, (client, process, pid))
    return None


def _end(selector: selectors.BaseSelector, client: socket.socket, process: int, pid: int) -> None:
    """A process has ended, or its client has, which takes the process along; tell the client how."""
    os.kill(pid, signal.SIGKILL)  # one that has ended hears nothing any more, until it is waited for
    _, status = os.waitpid(pid, 0)
    selector.unregister(client)
    selector.unregister(process)
    os.close(process)
    with client:
        try:
            client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))
        except BrokenPipeError:
            pass


def _become(request: dict[str, Any]) -> str:
    """Make this process the one that was asked for, and return its script."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.executable = request["program"]
    sys.argv = request["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            open(number, mode, closefd=False), encoding="utf-8", errors=errors, line_buffering=number == 2
        )
        for number, mode, errors in ((0, "rb", "strict"), (1, "wb", "strict"), (2, "wb", "backslashreplace"))
    )
    return sys.argv[0]


if __name__ == "__main__":
    _import_libraries()
    if (request := _serve(*sys.argv[1:])) is not None:
        runpy.run_path(_become(request), run_name="__main__")
