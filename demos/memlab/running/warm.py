"""Start runs from one process that has imported the libraries: importing takes as long as a short run.

That process imports and does nothing else: it starts no thread and touches no device, so that what is forked
from it is a process as fresh as any other, in which the imports are done. `multiprocessing`'s fork server
does it. Not where a GPU may be used, whose libraries do not outlive a fork, and on Linux alone.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, resource_tracker, spawn
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

_GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What there is where torch may find a GPU: NVIDIA's driver, AMD's, and either one's under Windows."""


def is_possible() -> bool:
    """Whether runs of this process may be forked from one that has imported the libraries."""
    return (
        sys.platform == "linux"
        and not any(Path(gpu).exists() for gpu in _GPUS)
        # Whoever has set another program to start wants that one started.
        and os.fsdecode(spawn.get_executable() or b"") == sys.executable
    )


def start(
    script: Path, arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> tuple[BaseProcess, Connection]:
    """Run a script in a forked process; return it and the end of a pipe that has its standard output.

    `environment` is added to that of this process, before the libraries are imported as well; standard error
    goes to `log`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["memlab.running.libraries"])
    os.environ |= {name: value for name, value in environment.items() if not name.startswith("MEMLAB_")}
    # Ctrl-C is for this process, which ends its runs itself; the server hands its mask on to them. The
    # tracker comes first, since starting it lets Ctrl-C through again.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(script, list(arguments), dict(environment), writer, log))
    process.start()
    writer.close()
    return process, reader


def _run(
    script: Path, arguments: list[str], environment: dict[str, str], output: Connection, log: Path
) -> None:
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    except FileNotFoundError:  # whoever wanted this run was stopped while the libraries were imported
        os._exit(1)
    os.dup2(output.fileno(), 1)
    output.close()
    os.environ |= environment
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")
