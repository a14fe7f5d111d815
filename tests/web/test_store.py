"""The store by itself: migrations and models agree, and rows are never changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from flask import Flask

from steelyard import store
from steelyard.settings import Settings
from steelyard.store.writing import add
from steelyard.web.app.database import alembic, db

pytestmark = pytest.mark.both_databases

NOW = datetime(2027, 1, 1, 12, tzinfo=timezone(timedelta(hours=9)))


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def test_the_migrations_lead_to_the_models(app):
    with app.app_context():
        context = alembic.migration_context
        assert compare_metadata(context, store.Base.metadata) == []


def test_the_migrations_lead_back_to_nothing(app):
    with app.app_context():
        alembic.downgrade("base")
        left = set(sa.inspect(db.engine).get_table_names()) - {"alembic_version"}

    assert left == set()


def test_migrating_twice_changes_nothing(app):
    with app.app_context():
        alembic.upgrade()
        assert not alembic.needs_upgrade()


def test_a_commit_to_sqlite_waits_for_the_disk(settings, make_app):
    app = make_app(settings)
    with app.app_context():
        pragmas = ("synchronous", "journal_mode", "foreign_keys")
        found = {name: db.session.scalar(sa.text(f"PRAGMA {name}")) for name in pragmas}

    assert found == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


def test_moments_come_back_in_utc_and_need_a_zone(app):
    with app.app_context():
        db.session.add(store.Learner(id="a" * 32, created=NOW))
        db.session.commit()
        db.session.expire_all()
        found = db.session.get_one(store.Learner, "a" * 32).created
        db.session.add(store.Learner(id="b" * 32, created=NOW.replace(tzinfo=None)))
        with pytest.raises(sa.exc.StatementError, match="time zone"):
            db.session.commit()
        db.session.rollback()

    assert found == NOW
    assert found.tzinfo == UTC


def test_a_learner_takes_everything_along_when_removed(app):
    state = app.extensions["steelyard"]
    with app.app_context():
        edition = state.bank.questions["basics/first"]
        items = [store.PlannedItem("basics/first", edition, "ABCD")]
        store.start(
            db.session,
            attempt="1" * 32,
            learner="a" * 32,
            quiz="basics",
            mode="practice",
            items=items,
            now=NOW,
        )
        place = {"attempt": "1" * 32, "question": "basics/first", "now": NOW}
        store.append_answer(db.session, **place, chosen="A", score=0.5, language="en")
        store.append_guess(db.session, **place, claim="a-claim", value=0.4, measured=0.25)
        db.session.commit()
        db.session.execute(sa.delete(store.Learner))
        db.session.commit()
        left = {
            table.__tablename__: db.session.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (store.Attempt, store.Item, store.Answer, store.Guess, store.Version)
        }

    assert left == {"attempts": 0, "items": 0, "answers": 0, "guesses": 0, "versions": 1}


def test_a_row_that_is_there_already_is_not_said_to_be_added(app):
    learner = {"id": "a" * 32, "created": NOW}
    attempt = {"id": "1" * 32, "learner": "a" * 32, "quiz": None, "mode": "exam", "started": NOW}
    end = {"attempt": "1" * 32, "submitted": NOW, "by": "learner"}
    rows = [(store.Learner, learner), (store.Attempt, attempt), (store.Submission, end)]
    with app.app_context():
        said = [[add(db.session, table, **row) for _ in range(2)] for table, row in rows]

    assert said == [[True, False]] * 3


def test_a_version_that_was_never_stored_is_not_found(app):
    with app.app_context(), pytest.raises(LookupError):
        store.edition(db.session, "0" * 64)
