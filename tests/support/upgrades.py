"""Processes that upgrade a database, some of them killed or stopped on the way, at a statement and not by a clock.

`upgrades()` starts one process, which imports the site once and forks a child for each upgrade: as a program, this
file reads requests from its standard input and answers each by a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from steelyard.settings import Settings
from steelyard.web.app import database

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How an upgrade's process ended: its exit status, what it said, and at how many moments it could be killed."""

    status: int
    said: str
    moments: int


@contextmanager
def upgrades() -> Iterator[Callable[..., list[Ended]]]:
    """Give a function from requests to how they ended, in the same order.

    A request names the `url` of a database, and may have the number of the moment at which its process is to `kill`
    itself, or to `stop` until the next request's process is about to ask for the database; those after it run at once.
    """
    command = [sys.executable, __file__]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=paths
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def run(*requests: dict[str, Any]) -> list[Ended]:
            process.stdin.write(json.dumps(requests) + "\n")
            process.stdin.flush()
            return [Ended(**ended) for ended in json.loads(process.stdout.readline())]

        yield run
        process.stdin.close()


def site_on(url: str) -> Flask:
    """Return as much of the site as there is to a database."""
    here = Path(__file__).parent
    settings = Settings(data=here, questions=here, results=here, pages=here, demos=here, database_url=url)
    app = Flask(__name__)
    database.init_app(app, settings)
    return app


def _upgrade(url: str, at: int, signal_to_itself: int, report: int) -> None:
    """Upgrade in this process, and send it a signal at a moment; say when the database is about to be asked for."""
    app = site_on(url)
    moments = 0

    def moment(*_: object) -> None:
        nonlocal moments
        moments += 1
        if moments == at:
            os.kill(os.getpid(), signal_to_itself)

    def asking(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("BEGIN IMMEDIATE", "SELECT pg_advisory_xact_lock")):
            os.write(report, b"!")

    with app.app_context():
        for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(database.db.engine, event, moment)
        sa.event.listen(database.db.engine, "before_cursor_execute", asking)
    try:
        database.migrate(app)
        moment()
        os.write(report, f" {moments}".encode())
        with app.app_context():
            database.db.engine.dispose()
    except BaseException:
        os.write(report, f" {moments} {traceback.format_exc()}".encode())
        os._exit(1)
    os._exit(0)


def _serve(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    children, stopped = [], None
    for request in requests:
        reading, report = os.pipe()
        pid = os.fork()
        if not pid:
            way = signal.SIGSTOP if "stop" in request else signal.SIGKILL
            _upgrade(request["url"], request.get("stop") or request.get("kill") or 0, way, report)
        os.close(report)
        children.append((pid, reading))
        if "stop" in request:
            os.waitpid(pid, os.WUNTRACED)
            stopped = pid
        elif stopped is not None:
            os.read(reading, 1)  # it is about to ask for the database
            os.kill(stopped, signal.SIGCONT)
            stopped = None
    ended = []
    for pid, reading in children:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with os.fdopen(reading) as report:
            moments, _, said = report.read().lstrip("! ").partition(" ")
        ended.append({"status": status, "said": said, "moments": int(moments or 0)})
    return ended


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), flush=True)
