"""What tests of the site share: a small bank, an application over it, and a PostgreSQL of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from bank_files import write_bank
from records import make_record
from steelyard.evidence import Records
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.database import migrate
from weighed import baseline, records

MakeApp = Callable[..., Flask]


def pytest_configure() -> None:
    """Let the processes that tests start hear Ctrl-C: a shell's background jobs are told not to."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a site over a bank of two quizzes, without records."""
    write_bank(tmp_path / "questions")
    (tmp_path / "results").mkdir()
    return Settings(
        data=tmp_path / "data",
        questions=tmp_path / "questions",
        results=tmp_path / "results",
        pages=project_data() / "demos" / "pages",
        demos=project_data() / "demos",
        database_url=sqlite_url(tmp_path / "data"),
        secret_key="a secret for tests only",
        trusted_hosts=("localhost",),
    )


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    """A function from settings to an application with its tables made; every engine is closed at the end."""
    made: list[Flask] = []

    def make(settings: Settings) -> Flask:
        app = create_app(settings)
        app.testing = True
        migrate(app)
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def app(settings: Settings, make_app: MakeApp) -> Flask:
    return make_app(settings)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


# ---- PostgreSQL -------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "data")
    url: str = request.getfixturevalue("postgresql")()
    return url


_numbers = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database on a server of the tests' own, and returns its URL."""
    programs = _programs()
    if programs is None:
        message = (
            "PostgreSQL's server programs (initdb, pg_ctl) are not installed: apt-get install postgresql"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
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

    port = _free_port()
    run("initdb", "--username=steelyard", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
    options = f"-p {port} -h 127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "--wait", "--log", str(data / "server.log"), "-o", options, "start")
    server = f"postgresql://steelyard@127.0.0.1:{port}"

    def make() -> str:
        name = f"test_{next(_numbers)}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{server.replace('postgresql', 'postgresql+psycopg')}/{name}"

    yield make
    run("pg_ctl", "--wait", "--mode=immediate", "stop")
    shutil.rmtree(folder)


def _programs() -> Path | None:
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    folders = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in folders), default=None, key=lambda path: int(path.parent.name))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def pair() -> Records:
    """Full fine-tuning and LoRA, a quarter lighter."""
    return records(baseline(), make_record("lora", peak=750))
