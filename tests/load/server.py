"""The whole site as a public one is run: gunicorn with all its workers, in a process group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp

from postgresql import free_port

START_SECONDS = 600.0  # of a machine that does much else
HOST = "127.0.0.1"
SECRET = "a secret for load tests only"


class Server:
    """The site over the project's own questions and records, by the command that `serve --public` prints.

    `folder` takes the site's data and its log; `cores` are those that the site may use, by default all that this
    process may. Nothing of it outlives `stop` or `kill`.
    """

    def __init__(self, folder: Path, database_url: str, cores: set[int] | None = None) -> None:
        self.log = folder / "gunicorn.log"
        self.port = free_port()
        self._cores = cores
        self.address = f"http://{HOST}:{self.port}"
        self._environment = {
            **os.environ,
            "STEELYARD_SECRET_KEY": SECRET,
            "STEELYARD_TRUSTED_HOSTS": HOST,
            "STEELYARD_HTTPS": "0",
            "STEELYARD_DATA": str(folder / "data"),
            "STEELYARD_DATABASE_URL": database_url,
            "GUNICORN_CMD_ARGS": "--no-control-socket",  # it would lie in the user's home
        }
        self._command = self._prepared()
        self._process: subprocess.Popen[bytes] | None = None

    def _prepared(self) -> list[str]:
        """Bring the database up to date, and return the command for a port of our own."""
        command = [sys.executable, "-c", "from steelyard.cli import main; main()", "serve", "--public"]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        words = shlex.split(next(line for line in done.stdout.splitlines() if "--bind" in line))
        words[words.index("--bind") + 1] = f"{HOST}:{self.port}"
        return ["env", *words]

    @property
    def pid(self) -> int:
        """The process that started the others. Only of a site that runs."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the site and wait until it answers. Raises RuntimeError with its log when it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        if self._cores:  # long before it forks: it has yet to be loaded
            os.sched_setaffinity(self._process.pid, self._cores)
        async with aiohttp.ClientSession() as session:
            for _ in range(int(START_SECONDS / 0.05)):
                if self._process.poll() is not None:
                    break
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.address}/healthz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the site did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """Kill master and workers at once, by a signal that none of them can catch."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let the site finish what it is doing and end."""
        self._end(signal.SIGTERM)

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, with_signal)
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
