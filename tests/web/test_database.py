"""The database under the site: who may read its file, what becomes of it when it is gone, full, or started anew."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from learner import Learner
from steelyard import store
from steelyard.settings import Settings, SettingsError, sqlite_url
from steelyard.web import create_app
from steelyard.web.app import health
from steelyard.web.app.database import UpgradeError, db, migrate
from web.test_store import NOW

MakeApp = Callable[[Settings], Flask]


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def rows(app: Flask, table: type[store.Base]) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def allow_reading_only(engine: sa.Engine) -> None:
    """Let the engine's connections write nothing, whoever runs the test: root writes to read-only files."""
    forbid = {"sqlite": "PRAGMA query_only = 1", "postgresql": "SET default_transaction_read_only = on"}

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.execute(forbid[engine.dialect.name])
        connection.commit()

    engine.dispose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def file_of(settings: Settings) -> Path:
    return settings.data / "steelyard.sqlite3"


# ---- who may read it --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("usual_umask")
def test_an_sqlite_file_and_what_lies_beside_it_are_for_their_owner_only(settings):
    app = create_app(settings)
    migrate(app)
    with app.app_context():
        db.session.execute(sa.select(store.Learner)).all()
        modes = {path.name.removeprefix("steelyard"): mode(path) for path in settings.data.iterdir()}
        db.session.close()
        db.engine.dispose()

    assert modes == {".sqlite3": 0o600, ".sqlite3-wal": 0o600, ".sqlite3-shm": 0o600}
    assert mode(settings.data) == 0o700


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize(
    ("given", "kept"), [(0o644, 0o600), (0o666, 0o600), (0o444, 0o400), (0o660, 0o660), (0o600, 0o600)]
)
def test_a_file_that_everybody_could_read_is_taken_from_them_and_a_group_keeps_its_own(settings, given, kept):
    settings.data.mkdir(mode=0o755)
    files = [settings.data / f"steelyard.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
    for file in files:
        file.touch()
        file.chmod(given)
    create_app(settings)

    assert [mode(file) for file in files] == [kept] * 3
    assert mode(settings.data) == 0o755  # it was there


@pytest.mark.both_databases
def test_an_error_of_the_database_tells_nothing_of_a_learner(settings, make_app, database_url):
    app = make_app(replace(settings, database_url=database_url))
    learner = "0123456789abcdef" * 2
    with app.app_context():
        db.session.add(store.Learner(id=learner, created=NOW))
        db.session.commit()
        with pytest.raises(sa.exc.IntegrityError) as raised:
            db.session.execute(sa.insert(store.Learner).values(id=learner, created=NOW))
        db.session.rollback()
        logged = "".join(traceback.format_exception(raised.value))

    assert "INSERT INTO learners" in logged
    assert learner not in logged


# ---- not to be had ----------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_named(settings, tmp_path):
    (tmp_path / "file").touch()
    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match=f"the folder {data} cannot be made: .*STEELYARD_DATA"):
            replace(settings, data=data, secret_key=None).with_local_secret()
        with pytest.raises(
            SettingsError, match=f"the folder {data} cannot be made: .*STEELYARD_DATABASE_URL"
        ):
            create_app(replace(settings, database_url=sqlite_url(data)))


def test_a_file_that_is_no_database_is_named(settings):
    settings.data.mkdir()
    file_of(settings).write_text("no database" * 100, encoding="ascii")
    app = create_app(settings)
    with pytest.raises(UpgradeError, match=rf"file is not a database \(.*{file_of(settings)}\)"):
        migrate(app)


@pytest.mark.both_databases
def test_a_database_that_takes_nothing_is_named_at_the_start(settings, make_app, database_url):
    app = make_app(replace(settings, database_url=database_url))
    with app.app_context():
        allow_reading_only(db.engine)
    with pytest.raises(UpgradeError, match=r"the database cannot be used: .*read.?only"):
        migrate(app)


# ---- gone, replaced, full, started anew -------------------------------------------------------------------


@pytest.fixture
def app(settings: Settings, make_app: MakeApp) -> Flask:
    app = make_app(settings)
    app.testing = False  # errors are pages
    return app


def test_nothing_is_taken_while_the_file_is_gone_and_all_goes_on_when_it_is_back(app, settings, tmp_path):
    learner = Learner(app)
    page = learner.start("basics")
    file_of(settings).rename(tmp_path / "moved")
    refused = learner.answer(page, ["A"], follow=False).status
    ill = learner.get("/healthz").status
    there = file_of(settings).exists()
    (tmp_path / "moved").rename(file_of(settings))

    assert (refused, ill, there) == (500, 503, False)
    assert rows(app, store.Answer) == 0
    assert learner.answer(page, ["A"]).outcome
    assert rows(app, store.Answer) == 1
    assert learner.get("/healthz").status == 200


def test_a_backup_made_while_the_site_runs_is_whole_and_one_put_in_place_meanwhile_is_refused(
    app, settings, make_app, tmp_path
):
    learner = Learner(app)
    page = learner.answer(learner.start("basics"), ["A"])
    backup = tmp_path / "backup.sqlite3"
    with closing(sqlite3.connect(file_of(settings))) as connection:
        connection.execute("VACUUM INTO ?", [str(backup)])
    learner.answer(learner.next(page), ["A"])
    both = rows(app, store.Answer)
    whole = backup.read_bytes()
    backup.replace(file_of(settings))
    refused = learner.get(page.url).status, learner.get("/healthz").status

    assert both == 2
    assert refused == (500, 503)
    assert file_of(settings).read_bytes() == whole

    with app.app_context():
        db.engine.dispose()
    for log in ("steelyard.sqlite3-wal", "steelyard.sqlite3-shm"):  # as the README says
        (settings.data / log).unlink(missing_ok=True)
    again = make_app(settings)

    assert rows(again, store.Answer) == 1
    newcomer = Learner(again)
    assert newcomer.answer(newcomer.start("basics"), ["A"]).outcome


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process be written to, as on a full disk."""
    _, most = usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_an_answer_that_finds_the_disk_full_is_not_taken_and_can_be_sent_again(app):
    learner = Learner(app)
    page = learner.start("basics")
    with no_room():
        refused = learner.answer(page, ["A"], follow=False)
        seen = learner.get(page.url)
    stored = rows(app, store.Answer)

    assert (refused.status, stored, seen.outcome) == (500, 0, "")
    assert "Answers that you sent before are safe" in refused.text
    assert learner.answer(page, ["A"]).outcome
    assert rows(app, store.Answer) == 1


@pytest.mark.postgresql
def test_no_request_fails_after_postgresql_was_started_anew(settings, make_app, postgresql):
    """A restart ends every connection of the pool."""
    app = make_app(replace(settings, database_url=postgresql()))
    app.testing = False
    learner = Learner(app)
    told = learner.answer(learner.start("basics"), ["A"])
    with app.app_context():
        url = db.engine.url
    other = sa.create_engine(url.set(database="postgres"))
    statuses = []
    for _ in range(3):
        with other.connect() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = :name"
                ),
                {"name": url.database},
            )
        statuses += [learner.get(path).status for path in (told.url, "/progress", "/healthz")]
    other.dispose()

    assert statuses == [200] * 9


# ---- the health check -------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_worker_that_cannot_write_is_ill(settings, make_app, database_url):
    app = make_app(replace(settings, database_url=database_url))
    learner = Learner(app)
    learner.start("basics")
    well = learner.get("/healthz")
    with app.app_context():
        allow_reading_only(db.engine)
    ill = learner.get("/healthz")

    assert (well.status, well.text) == (200, "ok")
    assert (ill.status, "takes nothing" in ill.text) == (503, True)
    assert rows(app, store.Learner) == 1


def test_a_worker_whose_disk_is_full_is_ill(app, monkeypatch):
    monkeypatch.setattr(health, "ROOM_BYTES", 2**62)
    ill = Learner(app).get("/healthz")

    assert (ill.status, "disk of the database is full" in ill.text) == (503, True)


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "10.1.2.3:8000", "[fd00::1]:8000", "probe.invalid", "", "no host!"]
)
def test_a_probe_is_answered_by_whatever_name_it_asks_and_no_other_page_is(app, host):
    client = app.test_client()
    headers = {"Host": host}

    assert client.get("/healthz", headers=headers).data == b"ok\n"
    assert client.get("/", headers=headers).status_code == 400
