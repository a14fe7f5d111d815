"""Upgrades of the database: killed, begun twice, left half done by an older version, or not for this version."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from click.testing import CliRunner
from flask.cli import FlaskGroup

from steelyard import store
from steelyard.cli import main
from steelyard.settings import sqlite_url
from steelyard.web.app.database import UpgradeError, alembic, db, migrate
from upgrades import KILLED, Ended, site_on, upgrades

POINTS = 20
REVISIONS = sorted(path.stem[:4] for path in (Path(store.__file__).parent / "migrations").glob("0*.py"))
OLDER = ["base", *REVISIONS[:-1]]
LAST_HALF_DONE = "0003"  # later upgrades are one transaction on SQLite, too

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., list[Ended]]]:
    with upgrades() as run:
        yield run


@pytest.fixture
def copy(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A function that copies the database of the test, to which nothing may be connected, and returns the copy's URL."""
    copies: list[str] = []

    def copy_file() -> str:
        copies.append(sqlite_url(tmp_path / f"copy-{len(copies)}"))
        if (original := _path(database_url)).exists():
            _path(copies[-1]).parent.mkdir()
            shutil.copy(original, _path(copies[-1]))
        return copies[-1]

    def copy_database() -> str:
        copies.append(request.getfixturevalue("postgresql")(database_url))
        return copies[-1]

    if database_url.startswith("sqlite"):
        yield copy_file
        return
    yield copy_database
    engine = sa.create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for url in copies:
            connection.execute(sa.text(f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)"))
    engine.dispose()


def _path(url: str) -> Path:
    return Path(sa.make_url(url).database or "")


def upgrade(url: str, revision: str = "heads") -> None:
    app = site_on(url)
    with app.app_context():
        if revision != "base":
            alembic.upgrade(revision)
        db.engine.dispose()


def fill(url: str) -> None:
    """Write three rows into each table there is, whatever its columns: equal numbers refer to each other."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine)
    moment = datetime(2027, 1, 1, 12, tzinfo=UTC)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name == "alembic_version":
                continue
            for number in (1, 2, 3):
                values = {
                    column.name: moment
                    if isinstance(column.type, sa.DateTime)
                    else column.type.python_type(number)
                    for column in table.columns
                }
                connection.execute(table.insert().values(values))
    engine.dispose()


def rows(url: str, like: Rows | None = None) -> Rows:
    """Return all rows by table, in the columns that there are, or in those of `like` (whose first row names them)."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine)
    found: Rows = {}
    with engine.connect() as connection:
        for name in like if like is not None else tables.tables.keys() - {"alembic_version"}:
            columns = like[name][0] if like else tuple(column.name for column in tables.tables[name].columns)
            chosen = sa.select(*(tables.tables[name].c[column] for column in columns))
            found[name] = [columns, *sorted(map(tuple, connection.execute(chosen)), key=repr)]
    engine.dispose()
    return found


def assert_is_up_to_date(url: str) -> None:
    app = site_on(url)
    with app.app_context():
        assert compare_metadata(alembic.migration_context, store.Base.metadata) == []
        assert not alembic.needs_upgrade()
        if db.engine.dialect.name == "sqlite":
            assert db.session.execute(sa.text("PRAGMA foreign_key_check")).all() == []
            assert db.session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
        db.engine.dispose()


def spread(moments: int, points: int) -> list[int]:
    """Return as many moments, from the first to the last; all of them when there are fewer."""
    if moments <= points:
        return list(range(1, moments + 1))
    return [1 + round(number * (moments - 1) / (points - 1)) for number in range(points)]


@pytest.mark.slow
@pytest.mark.both_databases
@pytest.mark.parametrize("revision", OLDER)
def test_an_upgrade_that_is_killed_anywhere_is_done_by_the_next_start(run, copy, database_url, revision):
    upgrade(database_url, revision)
    fill(database_url)
    before = rows(database_url)
    (whole,) = run({"url": copy()})
    points = spread(whole.moments, POINTS)

    assert (whole.status, whole.said, len(points)) == (0, "", POINTS)
    for point in points:
        url = copy()
        (killed,) = run({"url": url, "kill": point})
        (started,) = run({"url": url})

        assert killed.status == KILLED
        assert (started.status, started.said) == (0, ""), f"after a kill at moment {point}"
        assert rows(url, like=before) == before
        assert_is_up_to_date(url)


@pytest.mark.both_databases
@pytest.mark.parametrize("revision", OLDER)
def test_of_two_upgrades_the_second_waits_for_the_first_wherever_that_is(run, copy, database_url, revision):
    upgrade(database_url, revision)
    fill(database_url)
    before = rows(database_url)
    (whole,) = run({"url": copy()})
    for point in spread(whole.moments, 5)[1:4]:
        url = copy()
        first, second = run({"url": url, "stop": point}, {"url": url})

        assert (first.status, first.said, second.status, second.said) == (0, "", 0, "")
        assert rows(url, like=before) == before
        assert_is_up_to_date(url)


@pytest.mark.both_databases
def test_several_first_starts_at_the_same_moment_all_succeed(run, copy):
    for _ in range(5):
        url = copy()
        ended = run(*[{"url": url}] * 4)

        assert [(start.status, start.said) for start in ended] == [(0, "")] * 4
        assert_is_up_to_date(url)


# ---- left half done ---------------------------------------------------------------------------------------


def statements(url: str, revision: str) -> list[str]:
    """Upgrade to a revision; return what was sent to change tables, in order."""
    app = site_on(url)
    sent: list[str] = []
    with app.app_context():

        @sa.event.listens_for(db.engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.split(maxsplit=1)[0] in ("CREATE", "ALTER", "INSERT", "UPDATE"):
                sent.append(statement)

        alembic.upgrade(revision)
        db.engine.dispose()
    return sent


def schema(url: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(_path(url))) as connection:
        return connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
        ).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["base", "0001", "0002"])
def test_what_an_older_version_left_half_done_is_finished(copy, database_url, revision):
    """It kept each statement by itself, and was killed after any of them."""
    upgrade(database_url, revision)
    fill(database_url)
    before = rows(database_url)
    whole = copy()
    sent = statements(whole, LAST_HALF_DONE)
    upgrade(whole)

    assert len(sent) >= 3
    for done in range(len(sent) + 1):
        url = copy()
        _path(url).parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(_path(url))) as connection:
            for statement in sent[:done]:
                connection.execute(statement)
            connection.commit()
        upgrade(url)

        assert rows(url, like=before) == before, f"after {done} statements"
        assert schema(url) == schema(whole)


def test_going_back_to_an_older_revision_keeps_every_answer(copy, database_url):
    """A table that SQLite has to rebuild is dropped, and answers refer to attempts."""
    upgrade(database_url, "0001")
    fill(database_url)
    before = rows(database_url)
    upgrade(database_url)
    app = site_on(database_url)
    with app.app_context():
        alembic.downgrade("0001")
        enforced = db.session.scalar(sa.text("PRAGMA foreign_keys"))
        db.engine.dispose()

    assert rows(database_url) == before
    assert enforced == 1


# ---- not for this version ---------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_newer_database_is_named_and_left_alone(database_url, tmp_path, monkeypatch):
    upgrade(database_url)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    monkeypatch.setenv("STEELYARD_DATA", str(tmp_path))
    monkeypatch.setenv("STEELYARD_DATABASE_URL", database_url)
    monkeypatch.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("STEELYARD_TRUSTED_HOSTS", "quiz.example.org")
    app = site_on(database_url)
    flask = FlaskGroup(create_app=lambda: app)
    said = [CliRunner().invoke(main, words) for words in (["serve", "--public"], ["instructor", "list"])]
    said += [CliRunner().invoke(flask, ["db", word]) for word in ("upgrade", "downgrade", "current")]
    with pytest.raises(UpgradeError):
        migrate(app)
    with engine.connect() as connection:
        revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    engine.dispose()
    with app.app_context():
        db.engine.dispose()

    for result in said:
        assert (result.exit_code, type(result.exception)) == (1, SystemExit)
        assert "9999" in result.output and REVISIONS[-1] in result.output and "newer version" in result.output
    assert revision == "9999"


@pytest.mark.both_databases
def test_an_upgrade_says_so_when_the_database_is_not_let_go(database_url, monkeypatch):
    monkeypatch.setattr(store.upgrade, "WAIT_SECONDS", 0.2)
    upgrade(database_url, "0001")
    engine = sa.create_engine(database_url)
    app = site_on(database_url)
    with engine.connect() as holding, app.app_context():
        holding.execute(sa.text("DELETE FROM learners"))
        holding.execute(sa.text("SELECT * FROM attempts")).all()
        with pytest.raises(UpgradeError, match="held the database for"):
            alembic.upgrade()
        holding.rollback()
        alembic.upgrade()  # nothing is left behind that would be in its way
        db.engine.dispose()
    engine.dispose()

    assert_is_up_to_date(database_url)
