"""A PostgreSQL of the tests' own: a server on a free port of this machine, gone with its data at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

MISSING = "PostgreSQL's server programs (initdb, pg_ctl) are not installed: apt-get install postgresql"


@contextmanager
def server(*, durable: bool) -> Iterator[Callable[..., str]]:
    """Run a server and give a function that makes a database on it and returns its URL: empty, or a copy of `url`'s.

    One that is not `durable` never waits for the disk (fsync=off), which a power cut would not forgive; it is for
    tests that ask nothing of a disk. Raises FileNotFoundError where the programs are missing.
    """
    programs = _programs()
    if programs is None:
        raise FileNotFoundError(MISSING)
    # initdb refuses to run as root.
    account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if _is_root() else {}
    folder = Path(tempfile.mkdtemp(prefix="steelyard-postgresql-"))
    folder.chmod(0o711)
    data = folder / "data"
    data.mkdir()
    if account:
        shutil.chown(data, "nobody", "nogroup")

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        log = folder / "log"
        with log.open("w") as out:  # a file: the server would hold a pipe open
            done = subprocess.run(command, cwd=data, stdout=out, stderr=out, check=False, **account)
        assert done.returncode == 0, log.read_text()

    port = free_port()
    run("initdb", "--username=steelyard", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
    options = f"-p {port} -h 127.0.0.1 -c unix_socket_directories='' -c fsync={'on' if durable else 'off'}"
    run("pg_ctl", "--wait", "--log", str(data / "server.log"), "-o", options, "start")
    address = f"postgresql://steelyard@127.0.0.1:{port}"
    numbers = count(1)

    def make(url: str = "/template1") -> str:
        name = f"test_{next(numbers)}"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}")
        return f"{address.replace('postgresql', 'postgresql+psycopg')}/{name}"

    try:
        yield make
    finally:
        run("pg_ctl", "--wait", "--mode=immediate", "stop")
        shutil.rmtree(folder)


def _programs() -> Path | None:
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    folders = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in folders), default=None, key=lambda path: int(path.parent.name))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
