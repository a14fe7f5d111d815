"""What tests of the site share: a small bank, an application over it, and a PostgreSQL of their own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.templating import Environment
from flask.testing import FlaskClient, FlaskCliRunner
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import make_url

from bank_files import write_bank
from postgresql import server
from records import make_record
from steelyard import passwords
from steelyard.evidence import Records
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.app.database import migrate
from warm import FOR_DEMOS, POSSIBLE, warm
from weighed import baseline, records

MakeApp = Callable[..., Flask]


def pytest_configure() -> None:
    """Let the processes that tests start hear Ctrl-C: a shell's background jobs are told not to."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


HASHER = passwords._hasher
"""That of the site: hashing takes it tenths of a second, on purpose."""


@pytest.fixture(autouse=True, scope="session")
def _quick_passwords() -> Iterator[None]:
    """Hundreds of tests log in; those that are about passwords ask for `real_passwords`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture
def real_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", HASHER)


class _Compiled(BytecodeCache):
    """Templates that an application of this process has compiled: each test makes its own, of the same templates."""

    codes: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self.codes.get(bucket.key):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.codes[bucket.key] = bucket.bytecode_to_string()


class _Environment(Environment):
    def __init__(self, app: Flask, **options: Any) -> None:
        super().__init__(app, bytecode_cache=_Compiled(), **options)


@pytest.fixture(autouse=True, scope="session")
def _compiled_templates() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_environment", _Environment)
        yield


SLOW_SECONDS = 10.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each test that took long without being marked so; a loaded machine names too many, and fails none."""
    reports = chain.from_iterable(
        terminalreporter.stats.get(outcome, ()) for outcome in ("passed", "failed", "")
    )
    unmarked = sorted(
        {
            (report.duration, report.when, report.nodeid)
            for report in reports
            if report.duration > SLOW_SECONDS and not {"slow", "browser"} & set(report.keywords)
        },
        reverse=True,
    )
    if unmarked:
        terminalreporter.section(f"over {SLOW_SECONDS:.0f} seconds and not marked slow")
    for seconds, when, test in unmarked:
        terminalreporter.line(f"{seconds:6.1f} s {when:8} {test}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a site over a bank of two quizzes, without records."""
    write_bank(tmp_path / "questions")
    (tmp_path / "results").mkdir()
    return _settings(tmp_path, sqlite_url(tmp_path / "data"))


def _settings(folder: Path, database_url: str) -> Settings:
    return Settings(
        data=folder / "data",
        questions=folder / "questions",
        results=folder / "results",
        pages=project_data() / "demos" / "pages",
        demos=project_data() / "demos",
        database_url=database_url,
        secret_key="a secret for tests only",
        trusted_hosts=("localhost",),
    )


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with its tables made: that waits for the disk many times, so it is done once and copied."""
    folder = tmp_path_factory.mktemp("empty")
    app = create_app(_settings(folder, sqlite_url(folder)))
    migrate(app)
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()
    return folder / "steelyard.sqlite3"


@pytest.fixture
def make_app(empty_sqlite: Path) -> Iterator[MakeApp]:
    """A function from settings to an application with its tables made; every engine is closed at the end."""
    made: list[Flask] = []

    def make(settings: Settings) -> Flask:
        database = make_url(settings.database_url)
        if database.get_backend_name() == "sqlite" and not (path := Path(database.database or "")).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty_sqlite, path)
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on PostgreSQL, too, what says that the database may make a difference."""
    if "database_url" not in metafunc.fixturenames:
        return
    kinds = ["sqlite"]
    if metafunc.definition.get_closest_marker("both_databases"):
        kinds.append(pytest.param("postgresql", marks=pytest.mark.postgresql))
    metafunc.parametrize("database_url", kinds, indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: an SQLite file, and a PostgreSQL for what is marked `both_databases`."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "data")
    url: str = request.getfixturevalue("postgresql")()
    return url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database on a server of the tests' own, and returns its URL."""
    with ExitStack() as stack:
        try:
            make = stack.enter_context(server(durable=False))
        except FileNotFoundError as missing:
            if os.environ.get("CI") == "true":
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        yield make


# ---- demos ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def warm_python() -> Iterator[str]:
    """A program that runs a script as Python does, in a process that has torch already; see `warm`."""
    if not POSSIBLE:
        yield sys.executable
        return
    with warm(**FOR_DEMOS, TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error") as program:
        yield program


@pytest.fixture
def pair() -> Records:
    """Full fine-tuning and LoRA, a quarter lighter."""
    return records(baseline(), make_record("lora", peak=750))
