"""A Python that has imported torch already: tests start demos by the dozen, and an import costs more than the run.

`warm()` gives the path of a program that takes a command line as Python does (`SCRIPT ARGUMENTS`). A server that has
imported the libraries, and done nothing with them, forks a process for each script; the program (`warm_client`) hands
it its own arguments, environment, folder and standard streams, and ends as that process does, by the same signal if
need be. In the process, `sys.executable` is the program, so that a demo's own children are warm too. A program that
is killed takes along its process and all that this has started.

A script still has a process of its own, and sees nothing of another. Not as with a fresh Python are the imports of the
libraries and what the system says about the program's process, such as its memory and its group; tests of those start
`sys.executable`.
"""

from __future__ import annotations

import gc
import importlib
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

POSSIBLE = hasattr(os, "pidfd_open")
"""Whether this system can tell the end of a process by a file descriptor, as Linux does."""

FOR_DEMOS = {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
"""The environment of demos that tests start."""

_LIBRARIES = (
    "accelerate",
    "bitsandbytes",
    "matplotlib.figure",
    "memlab.launch",
    "peft",
    "rich.progress",
    "torch",
    "transformers.models.llama.modeling_llama",
)
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
    for name in _LIBRARIES:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
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
                    _end(selector, *key.data, lost=isinstance(key.fileobj, socket.socket))


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> dict[str, Any] | None:
    """Fork for one client: return its request in the new process, and None in the server."""
    client, _ = listener.accept()
    size, streams, _, _ = socket.recv_fds(client, 4, 3)
    with client.makefile("rb") as file:
        request: dict[str, Any] = json.loads(file.read(int.from_bytes(size)))
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
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


def _end(
    selector: selectors.BaseSelector, client: socket.socket, process: int, pid: int, *, lost: bool
) -> None:
    """Tell the client how its process ended; one whose client is lost ends with all that it has started."""
    if lost:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    selector.unregister(client)
    selector.unregister(process)
    os.close(process)
    with client, suppress(BrokenPipeError):
        client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))


def _writer(number: int) -> io.BufferedWriter:
    return io.BufferedWriter(io.FileIO(number, "w", closefd=False))


def _become(request: dict[str, Any]) -> str:
    """Make this process the one that was asked for, and return its script."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.executable = request["program"]
    sys.argv = request["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(_writer(1), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        _writer(2), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    return sys.argv[0]


if __name__ == "__main__":
    _import_libraries()
    if (request := _serve(*sys.argv[1:])) is not None:
        runpy.run_path(_become(request), run_name="__main__")
